import type { Export, GuestDevice, JournalEntry, Mapping, Operation } from '../client/api';
import { entryText } from '../follow';
import type { Column } from '../output/table';
import { sizeText, type Tone, timeText } from '../output/text';

/** How the things of the API are shown, wherever they are shown. */
export function stateTone(state: string): Tone {
  if (['completed', 'healthy', 'active', 'detected', 'found', 'repaired'].includes(state)) return 'good';
  if (['failed', 'unhealthy', 'missing', 'refused'].includes(state)) return 'bad';
  if (['degraded', 'waiting', 'cancelled', 'reported', 'unknown'].includes(state)) return 'warn';
  return 'plain';
}

export const OPERATION: readonly Column<Operation>[] = [
  { name: 'id', value: ({ id }) => id },
  { name: 'type', value: ({ type }) => type },
  { name: 'status', value: ({ status }) => status, tone: ({ status }) => stateTone(status) },
  { name: 'volume_id', value: ({ volume_id }) => volume_id },
  { name: 'vm_id', value: ({ vm_id }) => vm_id, hidden: true },
  { name: 'device_path', value: ({ response }) => text(response?.device_path), hidden: true },
  { name: 'created_at', value: ({ created_at }) => timeText(created_at) },
  { name: 'completed_at', value: ({ completed_at }) => completed_at && timeText(completed_at), hidden: true },
  { name: 'attempt', value: ({ attempt }) => attempt, hidden: true },
  { name: 'error_code', value: ({ error_code }) => error_code, hidden: true },
  { name: 'reason', value: ({ error, wait_reason }) => error ?? wait_reason },
];

/** One operation in full. */
export const OPERATION_RECORD: readonly Column<Operation>[] = OPERATION.map((column) => ({
  ...column,
  hidden: false,
}));

export const JOURNAL: readonly Column<JournalEntry>[] = [
  { name: 'at', value: ({ at }) => timeText(at) },
  { name: 'step', value: ({ step }) => step },
  { name: 'state', value: ({ state }) => state, tone: ({ state }) => stateTone(state) },
  { name: 'what', value: (entry) => entryText(entry) },
];

export const MAPPING: readonly Column<Mapping>[] = [
  { name: 'volume_id', value: ({ volume_id }) => volume_id },
  { name: 'vm_id', value: ({ vm_id }) => vm_id },
  { name: 'device_path', value: ({ device_path }) => device_path },
  {
    name: 'linux_state',
    value: ({ linux_state }) => linux_state,
    tone: ({ linux_state }) => stateTone(linux_state),
  },
  { name: 'size', value: ({ size }) => sizeText(size) },
  { name: 'serial', value: ({ serial }) => serial, hidden: true },
  { name: 'diskseq', value: ({ diskseq }) => diskseq, hidden: true },
  { name: 'matched_by', value: ({ matched_by }) => matched_by, hidden: true },
  { name: 'last_sync', value: ({ last_sync }) => timeText(last_sync), hidden: true },
];
export const MAPPING_RECORD: readonly Column<Mapping>[] = MAPPING.map((column) => ({
  ...column,
  hidden: false,
}));

export const DEVICE: readonly Column<GuestDevice>[] = [
  { name: 'device_path', value: ({ device_path }) => device_path },
  { name: 'size', value: ({ size }) => sizeText(size) },
  { name: 'serial', value: ({ serial, serial_state }) => serial ?? serial_state },
  { name: 'diskseq', value: ({ diskseq }) => diskseq },
  { name: 'controller', value: ({ controller }) => controller },
  { name: 'dev', value: ({ dev }) => dev, hidden: true },
  {
    name: 'belongs_to',
    value: ({ root, volume_id }) => (root ? 'the system' : (volume_id ?? 'nobody we know')),
    tone: ({ root, volume_id }) => (root ? 'dim' : volume_id === null ? 'warn' : 'plain'),
  },
];

export const EXPORT: readonly Column<Export>[] = [
  { name: 'volume_id', value: ({ volume_id }) => volume_id },
  { name: 'export_name', value: ({ export_name }) => export_name },
  { name: 'device_path', value: ({ device_path }) => device_path },
  { name: 'port', value: ({ port }) => port },
  { name: 'status', value: ({ status }) => status, tone: ({ status }) => stateTone(status) },
  { name: 'created_at', value: ({ created_at }) => timeText(created_at), hidden: true },
];
export const EXPORT_RECORD: readonly Column<Export>[] = EXPORT.map((column) => ({
  ...column,
  hidden: false,
}));

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
