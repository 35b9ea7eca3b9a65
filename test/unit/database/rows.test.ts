import { describe, expect, it } from 'vitest';
import { toEntry, toExport, toLastOperation, toMapping, toOperation } from '~/server/database/rows';

const NOW = new Date(Date.UTC(2026, 0, 15));
const V = 'aaaaaaaa-0000-4000-8000-000000000001';
const VM = 'bbbbbbbb-0000-4000-8000-000000000002';

const OPERATION = {
  id: 'op',
  sequence: 1,
  appliance_id: VM,
  type: 'detach',
  status: 'executing',
  volume_id: V,
  vm_id: null,
  request: JSON.stringify({ volume_id: V, force: false }),
  response: null,
  error: null,
  error_code: null,
  attempt: 0,
  created_at: NOW,
  updated_at: NOW,
  completed_at: null as Date | null,
  next_attempt_at: null,
  wait_reason: null,
  idempotency_key: null,
  cancel_requested: 0,
};

describe('an operation that another version or program has written', () => {
  it.each([
    ['resting', null, 'executing'],
    ['resting', NOW, 'failed'],
    ['Executing', null, 'executing'],
  ])('status %s, ended %s: held, and shown as %s', (status, completed_at, shown) => {
    const row = { ...OPERATION, status, completed_at };
    const operation = toOperation(row);
    expect([operation.status, operation.held]).toEqual([
      shown,
      `its status "${status}" is not known to this version`,
    ]);
    expect(toLastOperation(row)).toMatchObject({ status: shown, type: 'detach', volumeId: V });
  });

  it('a type that is not known is held, and no other is guessed', () => {
    const row = { ...OPERATION, type: 'migrate' };
    expect(toOperation(row)).toMatchObject({
      type: 'unreadable',
      held: expect.stringContaining('"migrate"'),
    });
    expect(toLastOperation(row).type).toBe('unreadable');
  });

  it('every reason is named; what it was held for says more', () => {
    const row = { ...OPERATION, status: 'resting', type: 'migrate', request: '[' };
    const { held } = toOperation(row);
    for (const why of ['"resting"', '"migrate"', 'not a JSON object']) expect(held).toContain(why);
    expect(toOperation({ ...row, held_reason: 'ended the process twice' }).held).toBe(
      'ended the process twice',
    );
  });

  it('who has cancelled it is known, also without the name of the request', () => {
    expect(toOperation({ ...OPERATION, cancel_requested: 1, cancel_actor: 'ops' })).toMatchObject({
      cancelRequested: true,
      cancelRequestedBy: { actor: 'ops', requestId: '', traceparent: null },
    });
    expect(toOperation(OPERATION)).toMatchObject({ cancelRequested: false, cancelRequestedBy: null });
  });
});

describe('an entry of the journal', () => {
  const ENTRY = {
    id: '7',
    operation_id: 'op' as string | null,
    sequence: '2',
    step: 'detach-volume',
    state: 'intent',
    data: '{"job_id":"j"}' as unknown,
    created_at: NOW,
  };

  it.each([
    ['text, as MariaDB keeps it', '{"job_id":"j"}'],
    ['parsed, as MySQL returns it', { job_id: 'j' }],
  ])('its data is %s', (_what, data) => {
    expect(toEntry({ ...ENTRY, data })).toEqual({
      id: 7,
      operationId: 'op',
      sequence: 2,
      step: 'detach-volume',
      state: 'intent',
      data: { job_id: 'j' },
      at: NOW.getTime(),
    });
  });

  it.each([
    ['its state', { state: 'begun' }, { job_id: 'j' }, 'its state "begun" is not known to this version'],
    ['its step', { step: 'shrink' }, { job_id: 'j' }, 'its step "shrink" is not known to this version'],
    ['a list', { data: '[1]' }, { unreadable: '[1]' }, 'its data is not a JSON object'],
    ['half a text', { data: '{"job' }, { unreadable: 'null' }, 'its data is not a JSON object'],
    ['nothing', { data: null }, { unreadable: 'null' }, 'its data is not a JSON object'],
  ])('%s is not understood: it is a note, which nobody acts on', (_what, strange, data, unreadable) => {
    expect(toEntry({ ...ENTRY, ...strange })).toMatchObject({ state: 'note', data, unreadable });
  });

  it.each([
    ['of the appliance', { operation_id: null, step: 'lease:taken' }],
    ['that only tells', { state: 'waiting', step: 'shrink' }],
  ])('one %s may name any step', (_what, told) => {
    expect(toEntry({ ...ENTRY, ...told })).not.toHaveProperty('unreadable');
  });
});

describe('a mapping', () => {
  const MAPPING = {
    id: 'm',
    volume_id: V,
    vm_id: VM,
    device_path: '/dev/vdb',
    cloudstack_state: 'attached',
    linux_state: 'detected',
    size: '5368709120',
    controller: null,
    serial: null,
    diskseq: '4',
    boot_id: 'boot',
    matched_by: 'size',
    cloudstack_device_id: null,
    last_sync: NOW,
    created_at: NOW,
    updated_at: NOW,
  };

  it('is read whole', () => {
    expect(toMapping(MAPPING)).toMatchObject({ linuxState: 'detected', size: 5_368_709_120, diskseq: 4 });
  });

  it('whose words are not known names no disk that is there, and was found in no way', () => {
    expect(toMapping({ ...MAPPING, linux_state: 'ready', matched_by: 'name' })).toMatchObject({
      linuxState: 'missing',
      matchedBy: null,
    });
  });

  it.each(['volume_id', 'vm_id', 'device_path'])('without %s is none', (column) => {
    expect(() => toMapping({ ...MAPPING, [column]: null })).toThrow();
  });
});

describe('an export', () => {
  const EXPORT = {
    id: 3,
    volume_id: V,
    export_name: `migration-vol-${V}`,
    device_path: '/dev/vdb',
    port: 10_809,
    status: 'active',
    metadata: '{"a":1}',
    created_at: NOW,
    updated_at: NOW,
  };

  it('is ours when it has the name of its volume', () => {
    expect(toExport(EXPORT)).toMatchObject({ id: '3', volumeId: V, status: 'active', metadata: { a: '1' } });
  });

  it.each([
    ['another name', { export_name: 'scratch' }],
    ['the name of another volume', { export_name: `migration-vol-${VM}` }],
    ['no name', { export_name: null }],
    ['no volume', { volume_id: null }],
  ])('with %s is of somebody else', (_what, columns) => {
    expect(toExport({ ...EXPORT, ...columns })).toBeNull();
  });

  it('with a status that is not known is not called active', () => {
    expect(toExport({ ...EXPORT, status: 'open', metadata: '[]' })).toMatchObject({
      status: 'failed',
      metadata: {},
    });
  });
});
