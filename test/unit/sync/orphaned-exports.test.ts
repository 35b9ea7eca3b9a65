import { beforeEach, describe, expect, it } from 'vitest';
import { exportName } from '~/server/model/export-name';
import type { Operation } from '~/server/model/operation';
import { OperationEvents } from '~/server/model/operation-events';
import { findOrphans, withdrawOrphans } from '~/server/sync/orphaned-exports';
import { MemoryAppliance } from '../sync/appliance';

const MAPPED = '10000000-0000-4000-8000-000000000001';
const REMOTE = '20000000-0000-4000-8000-000000000002';
const LEFT = '30000000-0000-4000-8000-000000000003';
const OLD = '40000000-0000-4000-8000-000000000004';

let a: MemoryAppliance;
/** Orphans of which an operation is known, and when it ended. */
let ended: Map<string, number>;
beforeEach(async () => {
  a = await MemoryAppliance.start();
  ended = new Map();
  await a.plug(MAPPED);
  const disk = await a.diskOf(MAPPED);
  if (!disk) throw new Error('the disk is there');
  await a.putRow(await a.rightRow(MAPPED, disk));
  await a.putExport(MAPPED, disk.path, 'active');
  await a.putRow(a.remoteRow(REMOTE));
  for (const id of [MAPPED, REMOTE, LEFT, OLD]) a.exports.links.set(exportName(id), '/dev/vdb');
  a.exports.changes.length = 0;
});

const parts = () => ({
  ledger: () =>
    Object.assign(Object.create(a.ledger), {
      readVolumeRows: async () =>
        new Map(
          [...ended].map(([id, updatedAt]) => [
            id,
            { mapping: null, export: null, lastOperation: { updatedAt } as Operation },
          ]),
        ),
    }),
  server: a.exports,
  clock: a.clock,
  events: new OperationEvents(),
  owner: () => ({ epoch: { applianceId: a.vmId, number: 1 }, applianceVmId: a.vmId }),
});
const names = (ids: readonly string[]) => ids.map(exportName);

describe('orphaned exports', () => {
  it('are those without a mapping to this appliance', async () => {
    const { configured, orphans, unserved } = await findOrphans(parts());
    expect([configured, orphans.map(({ name }) => name), unserved]).toEqual([
      4,
      names([REMOTE, LEFT, OLD]),
      [],
    ]);
  });

  it('have rows that say nothing of what this server lacks: it may be that of another appliance', async () => {
    const elsewhere = '50000000-0000-4000-8000-000000000005';
    await a.putRow(a.remoteRow(elsewhere));
    await a.putExport(elsewhere, '/dev/vdb', 'active');
    expect((await findOrphans(parts())).unserved).toEqual([]);
  });

  it('are only named in a dry run, and withdrawn otherwise, with an entry in the journal', async () => {
    expect(await withdrawOrphans(parts(), { dryRun: true })).toMatchObject({ withdrawn: [], failures: [] });
    expect(a.exports.changes).toEqual([]);
    const caller = { actor: 'hub', requestId: 'r-1', traceparent: null };
    const { withdrawn } = await withdrawOrphans(parts(), { dryRun: false, caller });
    expect([...withdrawn].sort()).toEqual(names([REMOTE, LEFT, OLD]));
    expect([...a.exports.links.keys()]).toEqual(names([MAPPED]));
    const feed = await a.ledger.feed(a.vmId, 0, 100);
    const entries = feed.filter(({ step }) => step === 'export:withdraw');
    expect(entries).toHaveLength(3);
    expect(entries[0]?.data).toMatchObject({ actor: 'hub', request_id: 'r-1' });
  });

  it('that got a mapping since they were found, or have a client, are left and named', async () => {
    const readMapping = a.ledger.readMapping.bind(a.ledger);
    a.ledger.readMapping = async (id) =>
      id === LEFT ? ({ ...(await readMapping(MAPPED)), volumeId: LEFT } as never) : readMapping(id);
    a.exports.clients = async (name?: string) =>
      name === exportName(OLD)
        ? { connected: ['127.0.0.1:4711'], leaving: [] }
        : { connected: [], leaving: [] };
    const { withdrawn, failures } = await withdrawOrphans(parts(), { dryRun: false });
    expect(withdrawn).toEqual(names([REMOTE]));
    expect([...failures].sort()).toEqual([
      `${exportName(LEFT)} is left: its volume has a mapping now`,
      `${exportName(OLD)} is left: clients are connected: 127.0.0.1:4711`,
    ]);
  });

  it('on whose volume an operation works are none, and those on which one has begun since are left and named', async () => {
    const { busyVolumes } = a.ledger;
    let looks = 0;
    a.ledger.busyVolumes = async (applianceId) => {
      looks += 1;
      return looks === 1 ? busyVolumes.call(a.ledger, applianceId) : new Set([LEFT]);
    };
    const { withdrawn, failures } = await withdrawOrphans(parts(), { dryRun: false });
    expect([...withdrawn].sort()).toEqual(names([REMOTE, OLD]));
    expect(failures).toEqual([`${exportName(LEFT)} is left: an operation works on its volume now`]);
    expect((await findOrphans(parts())).orphans.map(({ volumeId }) => volumeId)).not.toContain(LEFT);
    a.exports.links.delete(exportName(MAPPED));
    a.ledger.busyVolumes = async () => new Set([MAPPED]);
    expect((await findOrphans(parts())).unserved, 'the operation may be about to publish it').toEqual([]);
  });

  it('by age: only those whose volume was last worked on before; of which nothing is known is left', async () => {
    const now = a.clock.now();
    ended = new Map([
      [LEFT, now - 1_000],
      [OLD, now - 10_000],
    ]);
    const { withdrawn, failures } = await withdrawOrphans(parts(), { dryRun: false, idleSince: now - 5_000 });
    expect(withdrawn).toEqual(names([OLD]));
    expect(failures).toEqual([`${exportName(REMOTE)} is left: it is not known since when nobody needs it`]);
  });

  it('rows of exports that the server does not have are told', async () => {
    a.exports.links.delete(exportName(MAPPED));
    expect((await findOrphans(parts())).unserved).toEqual([expect.stringContaining(exportName(MAPPED))]);
  });
});
