import { sizeText } from '../../../cli/output/units';
import type { VolumeListReply } from '../../../server/http/schemas/volumes';
import { byId, element, keyedList, type Row, setAttribute, setText, show } from '../dom';
import { baseName, clockTime, plural, shortId } from '../format';
import type { VolumesPage } from '../pages/volumes-page';
import { showNotice } from '../stale';
import { isCurrent, staleText } from '../state';
import { isFiltered, volumesAddress } from '../volume-filter';
import { DEVICE_STATE_WORDS } from './devices';
import { operationAddress, pill, volumeLink } from './parts';
import { STATUS_WORDS, TYPE_WORDS } from './words';

type Summary = VolumeListReply['volumes'][number];

const UUID_CHARACTERS = 36;

/** One page of the list, and what is not known of it. */
export function volumesView(page: VolumesPage): () => void {
  const update = keyedList<Summary>(
    byId('volumes-list'),
    ({ volume_id }) => volume_id,
    ({ volume_id }) => row(page, volume_id),
  );
  const [asOf, hidden, first, next] = [
    byId('volumes-as-of'),
    byId('volumes-hidden'),
    byId('volumes-first'),
    byId('volumes-next'),
  ];
  bindFilter(page);
  return () => {
    const { list, filter } = page;
    const part = page.live.part('volumes');
    showNotice('volumes', staleText(part) || (list === null ? '' : unknownText(list)));
    show(first, filter.cursor !== '');
    setAttribute(first, 'href', volumesAddress({ ...filter, cursor: '' }));
    if (list === null) return;
    const { volumes, cloudstack } = list;
    setText(asOf, `as of ${clockTime(cloudstack.at)}`);
    update(volumes);
    show(byId('volumes-empty'), volumes.length === 0 && isCurrent(part) && cloudstack.kind === 'seen');
    const left = isFiltered(filter) ? cloudstack.not_shown : 0;
    show(hidden, left > 0);
    setText(
      hidden,
      `${plural(left, 'volume')} with a mapping CloudStack does not show: whether the filter fits is not known, so they are left out.`,
    );
    show(next, list.next);
    const last = volumes.at(-1)?.volume_id ?? '';
    setAttribute(next, 'href', volumesAddress({ ...filter, cursor: last }));
  };
}

function unknownText({ cloudstack: { kind, why, unknown_since, at } }: VolumeListReply): string {
  if (kind === 'seen') return '';
  const since = unknown_since === null ? '' : ` since ${clockTime(unknown_since)}`;
  return `Not known${since}: ${(why ?? 'CloudStack cannot be asked').replace(/\.?$/, '.')} Below is how it was at ${clockTime(at)}.`;
}

function row(page: VolumesPage, volumeId: string): Row<Summary> {
  const name = element('span', { class: 'subject' });
  const state = pill();
  const problem = element('p', { class: 'reason warn-text' });
  const place = element('p', {});
  const exported = element('p', { class: 'quiet' });
  const operation = element('a');
  const last = element('p', { class: 'quiet' }, 'Last: ', operation);
  return {
    element: element(
      'li',
      { class: 'card', 'data-volume': volumeId },
      element('div', { class: 'card-head' }, element('h3', {}, volumeLink(volumeId, name)), state.element),
      element('code', {}, volumeId),
      problem,
      place,
      exported,
      last,
    ),
    update(summary) {
      const { name: called, state: word, not_shown, last_operation, export: row } = summary;
      setText(name, called ?? `Volume ${shortId(volumeId)}`);
      state.update(
        not_shown === null ? (word ?? '') : 'unknown',
        not_shown === null ? (word ?? '') : 'not shown',
      );
      setText(problem, not_shown ?? '');
      show(problem, not_shown !== null);
      setText(place, placeText(summary, page.live.health?.details.appliance.vm_id ?? null));
      const access = row?.read_only ? ' · read-only' : '';
      setText(exported, row === null ? '' : `Export ${row.export_name}: ${row.status}${access}`);
      show(exported, row !== null);
      show(last, last_operation !== null);
      if (last_operation === null) return;
      const { id, type, status } = last_operation;
      setText(operation, `${TYPE_WORDS[type]}: ${STATUS_WORDS[status]}`);
      setAttribute(operation, 'href', operationAddress(id));
    },
  };
}

/** `40 GiB · attached to this appliance · vdb, verified` */
function placeText(summary: Summary, applianceId: string | null): string {
  const { size, vm_id, vm_name, mapping, not_shown, zone_name, type } = summary;
  const attached =
    vm_id === null
      ? 'attached to no VM'
      : vm_id === applianceId
        ? 'attached to this appliance'
        : `attached to ${vm_name ?? `VM ${shortId(vm_id)}`}`;
  const device = mapping === null ? '' : deviceText(mapping, not_shown !== null);
  const shown =
    not_shown === null
      ? [
          sizeText(size),
          ...(type === 'ROOT' ? ['root disk'] : []),
          attached,
          ...(zone_name ? [zone_name] : []),
        ]
      : [];
  return [...shown, device].filter(Boolean).join(' · ');
}

/** Where it is attached elsewhere is said already, unless CloudStack does not show it. */
function deviceText(
  { linux_state, device_path }: NonNullable<Summary['mapping']>,
  isNotShown: boolean,
): string {
  if (linux_state === 'n/a') return isNotShown ? 'mapped to another VM' : '';
  const state = DEVICE_STATE_WORDS[linux_state];
  return linux_state === 'missing' ? state : `${baseName(device_path)}, ${state}`;
}

/** An id is asked for when it is whole: a part of one would be refused while it is typed. */
function bindFilter(page: VolumesPage): void {
  const form = byId('volumes-filter', HTMLFormElement);
  const inputs = () => [...form.querySelectorAll<HTMLInputElement | HTMLSelectElement>('[name]')];
  const write = (): void => {
    const values: Readonly<Record<string, string>> = { ...page.filter };
    for (const input of inputs()) input.value = values[input.name] ?? '';
  };
  const read = (): void =>
    page.setFilter(Object.fromEntries(inputs().map(({ name, value }) => [name, value.trim()])));
  form.addEventListener('input', () => {
    const isPart = inputs().some(
      ({ name, value }) =>
        (name === 'vm_id' || name === 'project') && value !== '' && value.trim().length !== UUID_CHARACTERS,
    );
    if (!isPart) read();
  });
  form.addEventListener('change', read);
  form.addEventListener('submit', (event) => event.preventDefault());
  window.addEventListener('popstate', write);
  write();
}
