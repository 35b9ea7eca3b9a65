import { sizeText } from '../../../cli/output/units';
import type { ExportReply } from '../../../server/http/schemas/exports';
import type { MappingReply } from '../../../server/http/schemas/volumes';
import { byId, element, type Row, setAttribute, setText, show, showCount } from '../dom';
import { foldedList } from '../fold';
import { baseName, shortId } from '../format';
import { showStale } from '../stale';
import { isCurrent } from '../state';
import type { Store } from '../store';
import { evidenceDetails } from './evidence';
import { pill, volumeLink } from './parts';
import { trafficView } from './traffic';

interface Line {
  readonly mapping: MappingReply;
  readonly exported: ExportReply | null;
}

/** Each volume with its device, the proof that it is the right one, and its export. */
export function devicesView(store: Store): () => void {
  const update = foldedList<Line>(
    byId('device-list'),
    ({ mapping }) => mapping.volume_id,
    ({ mapping }) => row(store, mapping.volume_id),
  );
  return () => {
    const { devices, exports } = store.state;
    const part = store.live.part('resources');
    const byVolume = new Map(exports.map((exported) => [exported.volume_id, exported]));
    const lines = devices.map((mapping) => ({ mapping, exported: byVolume.get(mapping.volume_id) ?? null }));
    update(lines.sort((a, b) => order(a).localeCompare(order(b))));
    showCount('device', devices.length, isCurrent(part));
    showStale('device', part);
  };
}

/** Sort key: what is broken first, then disks of this appliance in the order of their device names. */
function order({ mapping, exported }: Line): string {
  const { linux_state, device_path } = mapping;
  const isBroken = linux_state === 'missing' || exported?.status === 'failed';
  const group = isBroken ? 0 : linux_state === 'n/a' ? 2 : 1;
  return `${group} ${String(device_path.length).padStart(4, '0')} ${device_path}`;
}

function row(store: Store, volumeId: string): Row<Line> {
  const name = element('span', { class: 'subject' });
  const id = element('code');
  const device = element('span', { class: 'subject' });
  const proof = element('span', { class: 'quiet' });
  const state = pill();
  const exportName = element('code');
  const port = element('span', { class: 'quiet' });
  const exportState = pill();
  const traffic = trafficView();
  const evidence = evidenceDetails(volumeId);
  const cell = (kind: string, ...children: Node[]) =>
    element('div', { class: `map-cell ${kind}` }, ...children);
  const line = (...children: (Node | string)[]) => element('p', {}, ...children);
  return {
    element: element(
      'li',
      { class: 'card map' },
      cell(
        'volume',
        element('h3', { class: 'overline' }, 'Volume'),
        line(volumeLink(volumeId, name)),
        line(id),
      ),
      cell(
        'device',
        element('h3', { class: 'overline' }, 'Device'),
        line(device, ' ', state.element),
        line(proof),
      ),
      cell(
        'export',
        element('h3', { class: 'overline' }, 'NBD export'),
        line(port, ' ', exportState.element),
        line(exportName),
        traffic.element,
      ),
      evidence.element,
    ),
    update({ mapping, exported }) {
      const remote = mapping.linux_state === 'n/a';
      setAttribute(this.element, 'data-volume', mapping.volume_id);
      setText(name, store.names.of(mapping.volume_id) || `Volume ${shortId(mapping.volume_id)}`);
      setText(id, mapping.volume_id);
      setText(device, remote ? `VM ${shortId(mapping.vm_id)}` : deviceName(mapping));
      setAttribute(device, 'title', remote ? mapping.vm_id : mapping.device_path);
      state.update(mapping.linux_state, DEVICE_STATE_WORDS[mapping.linux_state]);
      setText(proof, `${sizeText(mapping.size)} · ${identity(mapping)}`);
      setText(port, exported ? portText(exported) : remote ? 'not exported from here' : 'no export');
      show(exportState.element, exported !== null);
      const closed = mapping.linux_state === 'missing' && exported?.status === 'active';
      if (closed) exportState.update('missing', 'closed');
      else exportState.update(exported?.status ?? '');
      evidence.update();
      setText(exportName, exported?.export_name ?? '');
      traffic.update(exported?.traffic);
    },
  };
}

export const DEVICE_STATE_WORDS: Readonly<Record<MappingReply['linux_state'], string>> = {
  detected: 'verified',
  missing: 'not there',
  'n/a': 'other VM',
};

export function portText({ port, read_only }: ExportReply): string {
  return `port ${port}${read_only ? ' · read-only' : ''}`;
}

function deviceName({ linux_state, device_path }: MappingReply): string {
  return linux_state === 'missing' ? 'no disk' : baseName(device_path);
}

function identity({ linux_state, serial, diskseq, matched_by }: MappingReply): string {
  if (linux_state === 'n/a') return 'attached to another VM';
  if (linux_state === 'missing') return 'the disk is gone or is another one: no letter is told';
  const proof = matched_by === 'serial' && serial !== null ? `serial ${serial}` : 'matched by size';
  return diskseq === null ? proof : `${proof} · diskseq ${diskseq}`;
}
