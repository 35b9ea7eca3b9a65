import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../core/errors';
import {
  EXPORT_STATUSES,
  type ExportRecord,
  JOURNAL_STATES,
  type JournalEntry,
  type JsonObject,
  type Mapping,
  OPERATION_STATUSES,
  OPERATION_TYPES,
  type Operation,
} from '../model/operation';

/* Rows as the drivers return them, checked because other programs write these tables, too. */
type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;
type CamelKeys<T> = { [K in keyof T as CamelCase<K & string>]: T[K] };

/** `volume_id` → `volumeId` */
export function camelKeys<T extends object>(row: T): CamelKeys<T> {
  const renamed = Object.entries(row).map(([key, value]) => [
    key.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
    value,
  ]);
  return Object.fromEntries(renamed) as CamelKeys<T>;
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
/** JSON columns come as text (MariaDB) or parsed (MySQL). */
const json = z
  .unknown()
  .transform((value): unknown => (typeof value === 'string' ? parseJson(value) : value));
const jsonObject = json.transform((value): JsonObject => (isObject(value) ? value : {}));
const errorCode = z
  .string()
  .nullable()
  .transform((value): ErrorCode | null =>
    value !== null && isErrorCode(value) ? value : value === null ? null : 'INTERNAL',
  );

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

const operationRow = z.object({
  id: z.string(),
  sequence: count,
  appliance_id: z.string(),
  status: z.enum(OPERATION_STATUSES),
  volume_id: z.string(),
  vm_id: z.string().nullable(),
  response: json.transform((value) => (isObject(value) ? value : null)),
  error: z.string().nullable(),
  error_code: errorCode,
  attempt: count,
  next_attempt_at: nullableTime,
  wait_reason: z.string().nullable(),
  idempotency_key: z.string().nullable(),
  cancel_requested: count.transform((value) => value === 1),
  created_at: time,
  updated_at: time,
  completed_at: nullableTime,
  type: z.enum(OPERATION_TYPES),
  request: jsonObject,
});

const text = z.string().catch('');
const createRequest = z.looseObject({
  name: text,
  size: z.coerce.number().catch(0),
  disk_offering_id: text,
  zone_id: text,
});
const attachRequest = z.looseObject({
  volume_id: text,
  vm_id: text,
  device_id: z.number().exactOptional(),
  attach_as: z.literal('root').exactOptional(),
});
const volumeRequest = z.looseObject({ volume_id: text, force: z.boolean().exactOptional() });
const cleanupRequest = z.looseObject({
  volume_id: text,
  test_vm_id: text,
  oma_vm_id: text,
  delete_vm: z.boolean().catch(false),
  force_clean: z.boolean().catch(false),
});

/** An operation from its row. Fields that an older daemon did not store become empty. */
export function toOperation(row: unknown): Operation {
  const { type, request: stored, ...fields } = camelKeys(operationRow.parse(row));
  // The volume is a column of its own; old rows may name it only there.
  const request = { volume_id: fields.volumeId, vm_id: fields.vmId ?? '', ...stored };
  switch (type) {
    case 'create':
      return { ...fields, type, request: createRequest.parse(stored) };
    case 'attach':
      return { ...fields, type, request: attachRequest.parse(request) };
    case 'detach':
    case 'delete':
      return { ...fields, type, request: volumeRequest.parse(request) };
    case 'recover':
      return { ...fields, type, request: volumeRequest.parse(request) };
    case 'cleanup':
      return { ...fields, type, request: cleanupRequest.parse(request) };
    default:
      return type satisfies never;
  }
}

const stepRow = z.object({
  id: count,
  operation_id: z.string().nullable(),
  sequence: count,
  step: z.string(),
  state: z.enum(JOURNAL_STATES),
  data: jsonObject,
  created_at: time,
});

export function toEntry(row: unknown): JournalEntry {
  const { operation_id, created_at, ...entry } = stepRow.parse(row);
  return { ...entry, operationId: operation_id ?? '', at: created_at };
}

const mappingRow = z.object({
  id: z.string(),
  volume_id: z.string(),
  vm_id: z.string(),
  device_path: z.string(),
  cloudstack_state: z.enum(['attached', 'detached']).catch('attached'),
  linux_state: z.enum(['detected', 'missing', 'n/a']).catch('missing'),
  size: count,
  controller: z.string().nullable(),
  serial: z.string().nullable(),
  diskseq: nullableCount,
  boot_id: z.string().nullable(),
  matched_by: z.enum(['serial', 'size']).nullable().catch(null),
  cloudstack_device_id: nullableCount,
  last_sync: time,
  created_at: time,
  updated_at: time,
});

export function toMapping(row: unknown): Mapping {
  return camelKeys(mappingRow.parse(row));
}

const exportRow = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  volume_id: z.string(),
  export_name: z.string(),
  device_path: z.string(),
  port: count,
  status: z.enum(EXPORT_STATUSES).catch('failed'),
  metadata: jsonObject.transform((metadata) =>
    Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, String(value)])),
  ),
  created_at: time,
  updated_at: time,
});

export function toExport(row: unknown): ExportRecord {
  return camelKeys(exportRow.parse(row));
}
