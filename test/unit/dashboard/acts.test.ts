import { describe, expect, it } from 'vitest';
import { Keys, mayAct } from '~/dashboard/src/acts/act';
import { judge, remedyOf } from '~/dashboard/src/acts/remedy';
import { filterOf, searchOf } from '~/dashboard/src/filter';
import type { DriftReply, SyncReply } from '~/server/http/schemas/service';
import { APPLIANCE, VOLUME } from '~/test/support/canned';

describe('who may act', () => {
  it('nobody while it is not known who asks, and each role what its own includes', () => {
    expect(mayAct(null, 'read')).toBe(false);
    expect(mayAct({ role: 'read' }, 'operate')).toBe(false);
    expect(mayAct({ role: 'operate' }, 'operate')).toBe(true);
    expect(mayAct({ role: 'operate' }, 'admin')).toBe(false);
    expect(mayAct({ role: 'admin' }, 'admin')).toBe(true);
  });
});

describe('the keys of one dialog', () => {
  let made = 0;
  const keys = new Keys(() => {
    made += 1;
    return `key-${made}`;
  });

  it('stay for the same request, so that sending it again does nothing twice', () => {
    const first = keys.for({ force: false })('detach');
    expect(keys.for({ force: false })('detach')).toBe(first);
  });

  it('differ between the requests of one act', () => {
    const keyOf = keys.for({ force: false });
    expect(keyOf('detach')).not.toBe(keyOf('attach'));
  });

  it('are new when something else is asked for', () => {
    const before = keys.for({ force: false })('detach');
    expect(keys.for({ force: true })('detach')).not.toBe(before);
  });

  it('are those of before when the first is asked for once more: its answer may have been lost', () => {
    const before = keys.for({ name: 'a' })('create');
    keys.for({ name: 'b' })('create');
    expect(keys.for({ name: 'a' })('create')).toBe(before);
  });
});

describe('the remedy of a drift', () => {
  const drift = (change: Partial<DriftReply> = {}): DriftReply => ({
    kind: 'letter-moved',
    volume_id: VOLUME,
    vm_id: APPLIANCE,
    device_path: '/dev/vdc',
    message: 'the disk of the volume is /dev/vdc',
    remedy: 'nothing to do: force-sync repairs it',
    remedy_by: 'force-sync',
    action: 'planned',
    not_judged_since: null,
    ...change,
  });
  const report = (drifts: DriftReply[], change: Partial<SyncReply['report']> = {}): SyncReply['report'] => ({
    started_at: '2026-01-01T00:00:00.000Z',
    finished_at: '2026-01-01T00:00:00.000Z',
    dry_run: true,
    reason: 'test',
    observed: { cloud_volumes: 0, devices: 0, mappings: 0, exports: 0 },
    judged: true,
    unavailable: [],
    skipped_volumes: 0,
    drifts,
    ...change,
  });

  it('is offered only where the daemon can do it', () => {
    expect(remedyOf(drift({ remedy_by: null }))).toBeNull();
    expect(remedyOf(drift({ remedy_by: 'delete', volume_id: null }))).toBeNull();
    expect(remedyOf(drift({ remedy_by: 'force-sync', volume_id: null }))).toBe('force-sync');
  });

  it('goes on when the dry run finds the drift and would repair it; what else it repairs is said', () => {
    const other = drift({ kind: 'missing-export', message: 'the mapped volume has no export' });
    const { found, blocked } = judge(drift(), 'force-sync', report([drift(), other]));
    expect(blocked).toBeNull();
    expect(found.join(' ')).toContain('2 drifts would be repaired');
    expect(found.join(' ')).toContain('Also repaired: missing export');
  });

  it.each<[string, DriftReply[], Partial<SyncReply['report']>]>([
    ['the drift has gone', [], {}],
    ['nothing could be compared', [drift()], { judged: false, unavailable: ['CloudStack: away'] }],
    ['it was not judged again', [drift({ not_judged_since: '2026-01-01T00:00:00.000Z' })], {}],
    ['it has another remedy now', [drift({ remedy_by: 'delete' })], {}],
    ['it would not be repaired', [drift({ action: 'reported' })], {}],
  ])('does not when %s', (_, drifts, change) => {
    expect(judge(drift(), 'force-sync', report(drifts, change)).blocked).not.toBeNull();
  });
});

describe('the address of a filter', () => {
  it('names what is filtered by and keeps what else is there', () => {
    const filter = { ...filterOf('?status=failed&span=day'), find: ' disk & co ' };
    const search = searchOf(filter, '?status=failed&span=day');
    expect(search).toBe('?status=failed&span=day&find=disk+%26+co');
    expect(filterOf(search)).toMatchObject({ type: '', status: 'failed', find: 'disk & co' });
    expect(searchOf(filterOf(''), '?status=failed')).toBe('');
  });
});
