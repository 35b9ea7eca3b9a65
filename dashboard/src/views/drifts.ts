import type { DriftReply } from '../../../server/http/schemas/service';
import { actButton } from '../acts/buttons';
import { driftKey, remedyOf } from '../acts/remedy';
import { remedyAct } from '../acts/remedy-act';
import { byId, type Child, element, keyedList, type Row, setText, show, showCount } from '../dom';
import { foldedList } from '../fold';
import { clockTime, shortId } from '../format';
import type { Live } from '../live';
import { showNotice } from '../stale';
import { isCurrent, staleText } from '../state';
import { evidenceDetails } from './evidence';
import { pill, volumeLink } from './parts';

/** Differences between CloudStack, guest, database and exports that the daemon leaves to a person. */
export function driftsView(live: Live): () => void {
  const update = driftList(byId('drift-list'), live);
  return () => {
    const { health } = live;
    const part = live.part('health');
    const drifts = health?.details.drifts ?? [];
    const sync = health?.details.components.sync;
    update(drifts);
    showCount('drift', drifts.length, isCurrent(part) && sync?.status === 'healthy');
    const unjudged = sync && sync.status !== 'healthy' ? `${sync.message}.` : '';
    showNotice('drift', staleText(part) || unjudged);
  };
}

/**
 * A list of drifts. With `live` each offers what the daemon can do about it; the result of a
 * sync offers nothing.
 */
export function driftList(
  parent: HTMLElement,
  live: Live | null = null,
): (drifts: readonly DriftReply[]) => void {
  const create = (drift: DriftReply) => row(drift, live);
  return live === null ? keyedList(parent, driftKey, create) : foldedList(parent, driftKey, create);
}

function row(first: DriftReply, live: Live | null): Row<DriftReply> {
  const { volume_id: volumeId } = first;
  let latest = first;
  const button =
    live === null ? null : actButton(live, 'Do this remedy…', 'operate', () => remedyAct(latest));
  const kind = element('h3');
  const action = pill();
  const about = element('p', { class: 'about' });
  const message = element('p', { class: 'reason' });
  let shownAbout = '';
  const evidence = volumeId === null ? null : evidenceDetails(volumeId);
  const remedy = element('ul', { class: 'remedy' });
  const ways = keyedList<string>(
    remedy,
    (way) => way,
    (way) => ({ element: element('li', {}, way), update: () => {} }),
  );
  return {
    element: element(
      'li',
      { class: 'card drift' },
      element('div', { class: 'card-head' }, kind, action.element),
      message,
      about,
      remedy,
      ...(button ? [element('div', { class: 'acts' }, button.element)] : []),
      ...(evidence ? [evidence.element] : []),
    ),
    update(drift) {
      latest = drift;
      button?.update(drift.action !== 'repaired' && remedyOf(drift) !== null);
      setText(kind, drift.kind.replaceAll('-', ' '));
      action.update(drift.action, drift.action === 'reported' ? 'for you' : drift.action);
      const { not_judged_since: since } = drift;
      setText(
        message,
        since === null ? drift.message : `${drift.message} (not judged since ${clockTime(since)})`,
      );
      evidence?.update();
      const place = [drift.device_path, drift.vm_id].join(' ');
      if (place !== shownAbout) about.replaceChildren(...aboutOf(drift));
      shownAbout = place;
      // The daemon separates the remedies by semicolons.
      ways([...new Set(drift.remedy.split('; ').filter((way) => way !== ''))]);
      show(remedy, drift.remedy !== '');
    },
  };
}

/** Where the drift is. */
function aboutOf({ device_path, volume_id, vm_id }: DriftReply): Child[] {
  const parts: Child[] = [
    ...(device_path === null ? [] : [element('code', {}, device_path)]),
    ...(volume_id === null ? [] : [volumeLink(volume_id, `volume ${volume_id}`)]),
    ...(vm_id === null ? [] : [element('span', { title: vm_id }, `VM ${shortId(vm_id)}`)]),
  ];
  return parts.flatMap((part, index) => (index === 0 ? [part] : [' · ', part]));
}
