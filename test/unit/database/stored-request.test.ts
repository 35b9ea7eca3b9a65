import { describe, expect, it } from 'vitest';
import { toOperation } from '~/server/database/rows';

const NOW = new Date(Date.UTC(2026, 0, 15));
const V = 'aaaaaaaa-0000-4000-8000-000000000001';
const VM = 'bbbbbbbb-0000-4000-8000-000000000002';

/** A row of volume_operations, as the driver returns it. */
function row(type: string, request: unknown, status = 'executing') {
  return {
    id: 'op',
    sequence: 1,
    appliance_id: VM,
    type,
    status,
    volume_id: type === 'create' ? '' : V,
    vm_id: null,
    request: JSON.stringify(request),
    response: null,
    error: null,
    error_code: null,
    attempt: 0,
    created_at: NOW,
    updated_at: NOW,
    completed_at: status === 'executing' ? null : NOW,
    next_attempt_at: null,
    wait_reason: null,
    idempotency_key: null,
    cancel_requested: 0,
  };
}

const WHOLE = {
  create: { name: 'disk', size: 5, disk_offering_id: 'offering', zone_id: 'zone' },
  attach: { volume_id: V, vm_id: VM, device_id: 0, attach_as: 'root', expected_bytes: 5 },
  detach: { volume_id: V, force: true },
  delete: { volume_id: V, force: false },
  recover: { volume_id: V },
  cleanup: { volume_id: V, test_vm_id: VM, oma_vm_id: VM, delete_vm: true, force_clean: true },
  resize: { volume_id: V, size: 5 },
  snapshot: { volume_id: V, name: 'before', group: 'op-0', on_vm: 'vm-1' },
  'delete-snapshot': { snapshot_id: 's', group: 'op-0' },
  revert: { volume_id: V, snapshot_id: 's' },
  'snapshot-group': { vm_id: VM, volume_ids: [V], name: 'before' },
} as const;
type Type = keyof typeof WHOLE;
const TYPES = Object.keys(WHOLE) as Type[];

/** Every field of every request with values of another kind. */
const STRANGE = TYPES.flatMap((type) =>
  Object.entries(WHOLE[type]).flatMap(([field, good]) =>
    [5, 'true', true, null, [5]]
      .filter((value) => typeof value !== typeof good || Array.isArray(good))
      .map((value) => ({ type, field, value })),
  ),
);

describe('the request of an operation', () => {
  it.each([...TYPES, 'of another version'])(
    '%s: read whole, with what else it says, and nothing more',
    (type) => {
      const stored = { ...WHOLE[TYPES.find((known) => known === type) ?? 'detach'], more: [1] };
      expect(toOperation(row(type, stored)).request).toEqual(stored);
    },
  );

  it.each(TYPES)('%s: a whole one is not held', (type) => {
    expect(toOperation(row(type, { ...WHOLE[type], more: [1] }))).toMatchObject({ type, held: null });
  });

  it.each(STRANGE)('$type with $field: $value: held while it is open, and it names it', (one) => {
    const { type, field, value } = one;
    const { held } = toOperation(row(type, { ...WHOLE[type], [field]: value }));
    expect(held).toMatch(new RegExp(`its request (is not understood in|does not name) ${field}$`));
  });

  it.each(STRANGE)('$type with $field: $value: shown when it has ended, with all the rest', (one) => {
    const { type, field, value } = one;
    const { [field]: _strange, ...others } = { ...WHOLE[type] } as Record<string, unknown>;
    const shown = toOperation(row(type, { ...others, [field]: value }, 'completed'));
    expect(shown).toMatchObject({ type, status: 'completed', request: others });
    expect(shown.request).not.toHaveProperty(field, value);
  });

  it.each([
    ['attach', { attach_as: 'data' }, 'attach_as'],
    ['attach', { device_id: -1 }, 'device_id'],
    ['attach', { device_id: '1', attach_as: 'data' }, 'device_id, attach_as'],
    ['create', { size: '5 GiB' }, 'size'],
    ['resize', { size: -5 }, 'size'],
  ] as const)('%s with %o: a value that is not known is held', (type, strange, named) => {
    const { held } = toOperation(row(type, { ...WHOLE[type], ...strange }));
    expect(held).toBe(`its request is not understood in ${named}`);
  });

  it.each([
    ['create', { name: '' }, 'name'],
    ['create', { size: 0, zone_id: '' }, 'size, zone_id'],
    ['snapshot-group', { volume_ids: [] }, 'volume_ids'],
  ] as const)('%s with %o: what names nothing is held', (type, empty, named) => {
    const { held } = toOperation(row(type, { ...WHOLE[type], ...empty }));
    expect(held).toBe(`its request does not name ${named}`);
  });

  it('of an older daemon: a size in digits counts, and what it did not store is empty', () => {
    const create = toOperation(row('create', { ...WHOLE.create, size: '5' }));
    expect(create).toMatchObject({ held: null, request: { size: 5 } });
    const cleanup = toOperation(row('cleanup', { test_vm_id: null }, 'completed'));
    expect(cleanup).toMatchObject({
      held: null,
      request: { volume_id: V, test_vm_id: '', oma_vm_id: '', delete_vm: false, force_clean: false },
    });
    expect(toOperation({ ...row('attach', {}), vm_id: VM })).toMatchObject({
      held: null,
      request: { volume_id: V, vm_id: VM },
    });
  });
});
