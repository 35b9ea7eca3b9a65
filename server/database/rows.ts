import { z } from 'zod';
import { storedErrorCode } from '../core/errors';
import { LIMITS } from '../core/limits';
import { exportNameOf } from '../model/export-name';
import type { LastOperation } from '../model/ledger';
import {
  CLOUDSTACK_STATES,
  EXPORT_STATUSES,
  type ExportRecord,
  isObject,
  isTerminal,
  JOURNAL_STATES,
  type JournalEntry,
  type JournalState,
  type JsonObject,
  LINUX_STATES,
  MATCHES,
  type Mapping,
  OPERATION_STATUSES,
  OPERATION_TYPES,
  type Operation,
  type OperationStatus,
  type OperationType,
  STEPS,
  type Step,
  TELLING_STATES,
} from '../model/operation';
import { readRequest } from './stored-request';

/* Rows as the drivers return them, checked because other programs write these tables, too. */
type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;
type CamelKeys<T> = { [K in keyof T as CamelCase<K & string>]: T[K] };

/** `volume_id` → `volumeId` */
export function camelKeys<T extends object>(row: T): CamelKeys<T> {
  const renamed: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(row)) renamed[camelName(key)] = value;
  return renamed as CamelKeys<T>;
}

/** The columns of our tables: as many as there are, and every row has them again. */
const camelNames = new Map<string, string>();

function camelName(column: string): string {
  const known = camelNames.get(column);
  if (known !== undefined) return known;
  const name = column.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
  camelNames.set(column, name);
  return name;
}

const count = z.coerce.number();
const nullableCount = z.coerce.number().nullable();
/** A zero date of an old row arrives as an invalid value; it must not make the row unreadable. */
const time = z
  .date()
  .catch(new Date(0))
  .transform((date) => date.getTime());
const nullableTime = z
  .date()
  .nullable()
  .catch(null)
  .transform((date) => date?.getTime() ?? null);
/** Of a volume or a VM. */
const id = z.string().transform(plainId);
/** JSON columns come as text (MariaDB) or parsed (MySQL). */
const json = z
  .unknown()
  .transform((value): unknown => (typeof value === 'string' ? parseJson(value) : value));
const jsonObject = json.transform((value): JsonObject => (isObject(value) ? value : {}));
const errorCode = z
  .string()
  .nullable()
  .transform((value) => (value === null ? null : storedErrorCode(value)));

/**
 * As the database compares ids: another program may have written one in capitals, or with blanks at its end.
 * It names the same object, and CloudStack shows its ids in lower case.
 */
export function plainId(text: string): string {
  return text.trimEnd().toLowerCase();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Whether a text is a JSON object. */
export function isJsonObject(text: string): boolean {
  return isObject(parseJson(text));
}

const operationRow = z.object({
  id: z.string(),
  sequence: count,
  appliance_id: z.string(),
  status: z.string(),
  volume_id: z.string().catch(''),
  vm_id: z.string().nullable().catch(null),
  response: json.transform((value) => (isObject(value) ? value : null)),
  error: z.string().nullable().catch(null),
  error_code: errorCode,
  attempt: count.catch(0),
  next_attempt_at: nullableTime,
  wait_reason: z.string().nullable().catch(null),
  idempotency_key: z.string().nullable().catch(null),
  cancel_requested: count.transform((value) => value === 1).catch(false),
  cancel_actor: z.string().nullable().default(null),
  cancel_request_id: z.string().nullable().default(null),
  cancel_traceparent: z.string().nullable().default(null),
  created_at: time,
  updated_at: time,
  completed_at: nullableTime,
  held_reason: z.string().nullable().default(null),
  actor: z.string().nullable().default(null),
  request_id: z.string().nullable().default(null),
  traceparent: z.string().nullable().default(null),
  type: z.string(),
  request: json,
});

/**
 * An operation from its row. A row that this version does not understand (another version or another program
 * wrote it) never throws: it is `held`, with what is readable of it. Fields that an older daemon did not
 * store become empty.
 */
export function toOperation(row: unknown): Operation {
  const {
    type: storedType,
    status: storedStatus,
    request: stored,
    held_reason,
    cancel_actor,
    cancel_request_id,
    cancel_traceparent,
    ...rest
  } = operationRow.parse(row);
  const type = OPERATION_TYPES.find((known) => known === storedType);
  const status = knownStatus(storedStatus);
  const fields = {
    ...camelKeys(rest),
    cancelRequestedBy:
      cancel_actor === null
        ? null
        : { actor: cancel_actor, requestId: cancel_request_id ?? '', traceparent: cancel_traceparent },
    status: status ?? statusByEnd(rest.completed_at),
  };
  const request = isObject(stored) ? stored : {};
  const { typed, strange, lacking } = readRequest(type, { ...namesOf(type, fields), ...request });
  const problems = [
    ...(status === undefined ? [`its status ${quote(storedStatus)} is not known to this version`] : []),
    ...(type === undefined ? [`its type ${quote(storedType)} is not known to this version`] : []),
    ...(isObject(stored) ? [] : ['its request is not a JSON object']),
    ...(strange.length > 0 ? [`its request is not understood in ${strange.join(', ')}`] : []),
    // Old rows that have ended may name less.
    ...(lacking.length > 0 && !isTerminal(fields.status)
      ? [`its request does not name ${lacking.join(', ')}`]
      : []),
  ];
  const held = held_reason ?? (problems.length === 0 ? null : problems.join('; '));
  return { ...fields, held, ...typed };
}

/** The operation of a request that was just stored, in the fields of its row. */
export function pendingOperation(
  fields: Omit<Operation, 'type' | 'request'>,
  type: OperationType,
  stored: JsonObject,
): Operation {
  return { ...fields, ...readRequest(type, { ...namesOf(type, fields), ...stored }).typed };
}

/**
 * The volume and the VM are columns of their own; old rows may name them only there. Only what a request of
 * this type has: nobody has asked for a detach from a VM.
 */
function namesOf(
  type: OperationType | undefined,
  { volumeId, vmId }: Pick<Operation, 'volumeId' | 'vmId'>,
): JsonObject {
  switch (type) {
    case undefined:
    case 'create':
    case 'delete-snapshot':
    case 'snapshot-group':
      return {};
    case 'attach':
      return { volume_id: volumeId, vm_id: vmId ?? '' };
    default:
      return { volume_id: volumeId };
  }
}

function knownStatus(stored: string): OperationStatus | undefined {
  return OPERATION_STATUSES.find((known) => known === stored);
}

/** Nobody can say that it has ended, unless it has the time of its end. */
function statusByEnd(completedAt: number | null): OperationStatus {
  return completedAt === null ? 'executing' : 'failed';
}

const lastOperationRow = z.object({
  id: z.string(),
  volume_id: id,
  type: z.string(),
  status: z.string(),
  updated_at: time,
  completed_at: nullableTime,
});

/** What a list says of an operation, from these columns of its row. */
export function toLastOperation(row: unknown): LastOperation & { readonly volumeId: string } {
  const { type, status, completed_at, ...rest } = lastOperationRow.parse(row);
  return {
    ...camelKeys(rest),
    type: OPERATION_TYPES.find((known) => known === type) ?? 'unreadable',
    status: knownStatus(status) ?? statusByEnd(completed_at),
  };
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}

const stepRow = z.object({
  id: count,
  operation_id: z.string().nullable(),
  sequence: count,
  step: z.string(),
  state: z.string(),
  data: json,
  created_at: time,
});

/** A journal entry from its row. One that this version does not understand is `unreadable`, a note. */
export function toEntry(row: unknown): JournalEntry {
  const { operation_id, created_at, state: stored, data, step, ...rest } = stepRow.parse(row);
  const entry = { ...rest, step, operationId: operation_id ?? '', at: created_at };
  const state = JOURNAL_STATES.find((known) => known === stored);
  if (state === undefined)
    return unreadable(entry, data, `its state ${quote(stored)} is not known to this version`);
  if (!isObject(data)) return unreadable(entry, data, 'its data is not a JSON object');
  // Entries of the appliance itself are told, never acted on.
  if (operation_id !== null && !isTelling(state) && !isStep(step))
    return unreadable(entry, data, `its step ${quote(step)} is not known to this version`);
  return { ...entry, state, data };
}

function unreadable(entry: Omit<JournalEntry, 'state' | 'data'>, data: unknown, why: string): JournalEntry {
  const shown = isObject(data)
    ? data
    : { unreadable: JSON.stringify(data ?? null).slice(0, LIMITS.TEXT_CHARACTERS) };
  return { ...entry, state: 'note', data: shown, unreadable: why };
}

function isTelling(state: JournalState): boolean {
  return (TELLING_STATES as readonly JournalState[]).includes(state);
}

function isStep(step: string): step is Step {
  return (STEPS as readonly string[]).includes(step);
}

const mappingRow = z.object({
  id: z.string(),
  volume_id: id,
  vm_id: id,
  device_path: z.string(),
  cloudstack_state: z.enum(CLOUDSTACK_STATES).catch('attached'),
  linux_state: z.enum(LINUX_STATES).catch('missing'),
  size: count,
  controller: z.string().nullable(),
  serial: z.string().nullable(),
  diskseq: nullableCount,
  boot_id: z.string().nullable(),
  matched_by: z.enum(MATCHES).nullable().catch(null),
  cloudstack_device_id: nullableCount,
  vm_context_id: z
    .string()
    .nullish()
    .transform((context) => context ?? undefined),
  last_sync: time,
  created_at: time,
  updated_at: time,
});

/** Throws ZodError for a row that no version could have written: nothing is guessed about a disk. */
export function toMapping(row: unknown): Mapping {
  return camelKeys(mappingRow.parse(row));
}

/** What tells whose row of nbd_exports it is. */
const exportNames = z.object({ volume_id: id, export_name: id });

const exportRow = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  volume_id: id,
  // What is wrong in the rest is a drift, and mended by sync.
  device_path: z.string().catch(''),
  port: count.catch(0),
  status: z.enum(EXPORT_STATUSES).catch('failed'),
  metadata: jsonObject.transform((metadata) =>
    Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, String(value)])),
  ),
  created_at: time,
  updated_at: time,
});

/**
 * One of our exports, which has the name of its volume; or null: other programs have rows of their own in
 * this table, and nothing in them may keep ours from being read.
 */
export function toExport(row: unknown): ExportRecord | null {
  const names = exportNames.safeParse(row).data;
  const exportName = names && exportNameOf(names.volume_id);
  if (exportName === undefined || names?.export_name !== exportName) return null;
  return { ...camelKeys(exportRow.parse(row)), exportName };
}
