import type { JournalEntryReply } from '~/server/http/schemas/operations';
import type { Drift, Export, Mapping, Operation, Reply } from '../client/operations';
import { parseMoment, parseSize, parseTime } from '../globals';
import { entryText } from '../journal-text';
import { stateTone } from '../output/state-tone';
import type { Cell, Column } from '../output/table';
import { timeText } from '../output/text';
import { byteText, leftText, rateText, writtenText } from '../output/traffic-text';
import { sizeText } from '../output/units';

/** The columns of resources that several commands print. */
export const OPERATION_COLUMNS: readonly Column<Operation>[] = [
  field('id'),
  field('type'),
  state('status'),
  field('volume_id'),
  { ...field('vm_id'), hidden: true },
  { name: 'device_path', value: ({ response }) => text(response?.device_path), hidden: true },
  { name: 'snapshot_id', value: ({ response }) => text(response?.snapshot_id), hidden: true },
  timeColumn('created_at', ({ created_at }) => created_at),
  { ...timeColumn('completed_at', ({ completed_at }) => completed_at), hidden: true },
  { ...field('attempt'), hidden: true },
  { ...field('actor'), hidden: true },
  { ...field('request_id'), hidden: true },
  { ...field('traceparent'), hidden: true },
  { ...field('error_code'), hidden: true },
  { name: 'reason', value: ({ error, wait_reason, held }) => error ?? wait_reason ?? held },
  { ...field('held'), hidden: true },
];

export const JOURNAL_COLUMNS: readonly Column<JournalEntryReply>[] = [
  { name: 'at', value: ({ at }) => timeText(at) },
  field('step'),
  state('state'),
  { name: 'what', value: entryText },
];

export const MAPPING_COLUMNS: readonly Column<Mapping>[] = [
  field('volume_id'),
  field('vm_id'),
  field('device_path'),
  state('linux_state'),
  sizeColumn('size', ({ size }) => size),
  { ...field('serial'), hidden: true },
  { ...field('diskseq'), hidden: true },
  { ...field('matched_by'), hidden: true },
  { ...timeColumn('last_sync', ({ last_sync }) => last_sync), hidden: true },
];

export const DEVICE_COLUMNS: readonly Column<Reply<'inspectGuest'>['devices'][number]>[] = [
  field('device_path'),
  sizeColumn('size', ({ size }) => size),
  { name: 'serial', value: ({ serial, serial_state }) => serial ?? serial_state },
  field('diskseq'),
  field('controller'),
  { ...field('dev'), hidden: true },
  {
    name: 'belongs_to',
    value: ({ root, volume_id }) => (root ? 'the system' : (volume_id ?? 'nobody we know')),
    tone: ({ root, volume_id }) => (root ? 'dim' : volume_id === null ? 'warn' : 'plain'),
  },
];

export const EXPORT_COLUMNS: readonly Column<Export>[] = [
  field('volume_id'),
  field('export_name'),
  field('device_path'),
  field('port'),
  { name: 'access', value: ({ read_only }) => (read_only ? 'read-only' : 'writable') },
  state('status'),
  { name: 'clients', value: ({ traffic }) => traffic?.clients },
  {
    ...sizeColumn('written', ({ traffic }) => traffic?.bytes_written),
    value: ({ traffic }) => traffic && writtenText(traffic),
  },
  {
    ...sizeColumn('rate', ({ traffic }) => rateOf(traffic)),
    value: ({ traffic }) => traffic && rateText(traffic),
  },
  {
    name: 'left',
    value: ({ traffic }) => traffic && leftText(traffic),
    amount: {
      of: ({ traffic }) => traffic?.seconds_left,
      parse: (text, option) => parseTime(text, option) / 1000,
    },
  },
  {
    ...sizeColumn('read', ({ traffic }) => traffic?.bytes_read),
    value: ({ traffic }) => traffic && byteText(traffic.bytes_read),
    hidden: true,
  },
  { ...timeColumn('last_io', ({ traffic }) => traffic?.last_io_at), hidden: true },
  { name: 'unknown', value: ({ traffic }) => traffic?.unknown.join('; '), hidden: true },
  { ...timeColumn('created_at', ({ created_at }) => created_at), hidden: true },
];

/** Bytes a second in both directions. */
function rateOf(traffic: Export['traffic']): number | null {
  const { read_bytes_per_second: read = null, written_bytes_per_second: written = null } = traffic ?? {};
  return read === null || written === null ? null : read + written;
}

export const DRIFT_COLUMNS: readonly Column<Drift>[] = [
  { name: 'drift', value: ({ kind }) => kind },
  state('action'),
  field('volume_id'),
  { ...field('device_path'), hidden: true },
  { ...field('vm_id'), hidden: true },
  { name: 'what', value: ({ message }) => message },
  { ...timeColumn('not_judged_since', ({ not_judged_since }) => not_judged_since), hidden: true },
  field('remedy'),
];

/** A column that shows the field of its name. */
export function field<Name extends string>(name: Name): Column<{ readonly [Key in Name]?: Cell }> {
  return { name, value: (row) => row[name] };
}

/** The same, coloured by what the state means. */
export function state<Name extends string>(name: Name): Column<{ readonly [Key in Name]: string }> {
  return { name, value: (row) => row[name], tone: (row) => stateTone(row[name]) };
}

/** A size: shown with its unit, compared in bytes. */
export function sizeColumn<T>(name: string, bytes: (row: T) => number | null | undefined): Column<T> {
  return {
    name,
    value: (row) => sizeText(bytes(row) ?? null),
    amount: { of: bytes, parse: parseSize },
  };
}

/** A moment (RFC 3339 in the answer): compared as time, so that `1h` is an hour ago. */
export function timeColumn<T>(name: string, at: (row: T) => string | null | undefined): Column<T> {
  const ms = (time: string | null | undefined) => (time ? Date.parse(time) : null);
  return {
    name,
    value: (row) => {
      const time = at(row);
      return time && timeText(time);
    },
    amount: { of: (row) => ms(at(row)), parse: parseMoment },
  };
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
