import { z } from 'zod';
import type { JsonObject, OperationType, RequestOf } from '../model/operation';

/*
 * What an older daemon did not store is empty. What is there and is no such value is never
 * read as one that is.
 */
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const digits = z.string().regex(/^\d+$/).transform(Number).pipe(z.int());
const bytes = z
  .union([z.int().nonnegative(), digits])
  .nullish()
  .transform((value) => value ?? 0);
const ids = z
  .array(z.string().min(1))
  .nullish()
  .transform((value) => value ?? []);
const flag = z.boolean().default(false);
const name = z.string().exactOptional();

const volumeRequest = z.looseObject({ volume_id: text, force: z.boolean().exactOptional() });

/** Without one of its fields every request can still be read. */
const REQUESTS = {
  create: z.looseObject({ name: text, size: bytes, disk_offering_id: text, zone_id: text }),
  attach: z.looseObject({
    volume_id: text,
    vm_id: text,
    device_id: z.int().nonnegative().exactOptional(),
    attach_as: z.literal('root').exactOptional(),
    expected_bytes: z.number().exactOptional(),
  }),
  detach: volumeRequest,
  delete: volumeRequest,
  recover: z.looseObject({ volume_id: text }),
  cleanup: z.looseObject({
    volume_id: text,
    test_vm_id: text,
    oma_vm_id: text,
    delete_vm: flag,
    force_clean: flag,
  }),
  resize: z.looseObject({ volume_id: text, size: bytes }),
  snapshot: z.looseObject({ volume_id: text, name, group: name, on_vm: name }),
  'delete-snapshot': z.looseObject({ snapshot_id: text, group: name }),
  revert: z.looseObject({ volume_id: text, snapshot_id: text }),
  'snapshot-group': z.looseObject({ vm_id: text, volume_ids: ids, name }),
} as const satisfies { readonly [T in OperationType]: z.ZodType<RequestOf[T]> };

/** What a request must name before anything is done about it. */
const NEEDED: { readonly [T in OperationType]: readonly (keyof RequestOf[T] & string)[] } = {
  create: ['name', 'size', 'disk_offering_id', 'zone_id'],
  attach: ['volume_id', 'vm_id'],
  detach: ['volume_id'],
  delete: ['volume_id'],
  recover: ['volume_id'],
  cleanup: ['volume_id', 'test_vm_id', 'oma_vm_id'],
  resize: ['volume_id', 'size'],
  snapshot: ['volume_id'],
  'delete-snapshot': ['snapshot_id'],
  revert: ['volume_id', 'snapshot_id'],
  'snapshot-group': ['vm_id', 'volume_ids'],
};

type Typed =
  | { [T in OperationType]: { readonly type: T; readonly request: RequestOf[T] } }[OperationType]
  | { readonly type: 'unreadable'; readonly request: JsonObject };

interface ReadRequest {
  /** Without the fields that are not understood. */
  readonly typed: Typed;
  /** Fields whose values this version does not understand. */
  readonly strange: readonly string[];
  /** Needed fields that say nothing. */
  readonly lacking: readonly string[];
}

/** Never throws. Of an unknown type nothing can be said about its request. */
export function readRequest(type: OperationType | undefined, stored: JsonObject): ReadRequest {
  if (type === undefined) return { typed: { type: 'unreadable', request: stored }, strange: [], lacking: [] };
  const issues = REQUESTS[type].safeParse(stored).error?.issues ?? [];
  const strange = [...new Set(issues.map(({ path }) => String(path[0])))];
  const understood = Object.entries(stored).filter(([field]) => !strange.includes(field));
  const typed = typedRequest(type, Object.fromEntries(understood));
  const fields = new Map<string, unknown>(Object.entries(typed.request));
  const lacking = NEEDED[type].filter((field) => !strange.includes(field) && isEmpty(fields.get(field)));
  return { typed, strange, lacking };
}

function isEmpty(value: unknown): boolean {
  return value === '' || value === 0 || (Array.isArray(value) && value.length === 0);
}

function typedRequest(type: OperationType, understood: JsonObject): Typed {
  switch (type) {
    case 'create':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'attach':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'detach':
    case 'delete':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'recover':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'cleanup':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'resize':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'snapshot':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'delete-snapshot':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'revert':
      return { type, request: REQUESTS[type].parse(understood) };
    case 'snapshot-group':
      return { type, request: REQUESTS[type].parse(understood) };
    default:
      return type satisfies never;
  }
}
