import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { TrafficMonitor } from '~/server/devices/traffic-monitor';
import { progressOf } from '~/server/exports/copy-progress';
import { type ActiveExport, ExportTraffic } from '~/server/exports/export-traffic';
import { seen, unknown } from '~/server/model/evidence';
import { keptMetadata } from '~/server/model/export-metadata';
import { GIB, Rig } from '../operations/rig';
import { CLIENT } from '../operations/situations';

const MIB = 1024 ** 2;
const POLL_MS = 2_000;

/** A volume that was attached by a request, and the device poll. */
async function attached(request: { expected_bytes?: number } = {}) {
  const rig = await Rig.start();
  const { id } = await rig.volume();
  await rig.run('attach', { volume_id: id, vm_id: rig.here, ...request });
  const { traffic } = rig.domain;
  const told: ActiveExport[] = [];
  return {
    rig,
    id,
    told,
    follow: () => traffic.onFlow((active) => told.push(active)),
    poll: async (times = 1) => {
      for (let time = 0; time < times; time += 1) {
        await rig.pass(POLL_MS);
        await traffic.sample();
      }
    },
    async describe() {
      const [active] = await traffic.describe(await rig.ledger.listExports({}));
      if (!active) throw new Error('nothing is exported');
      return active;
    },
  };
}

describe('the traffic of an export', () => {
  it('is what the kernel counts for its disk: bytes, rate, last I/O; what was expected is reckoned with', async () => {
    const { rig, id, poll, describe } = await attached({ expected_bytes: 100 * MIB });
    await poll();
    for (let second = 0; second < 10; second += 2) {
      rig.guest.transfer(id, { written: 8 * MIB, read: 4096 });
      await poll();
    }
    const { record, activity } = await describe();
    expect(record.metadata.expected_bytes).toBe(String(100 * MIB));
    expect(activity).toMatchObject({
      clients: { kind: 'seen', value: 0 },
      traffic: {
        kind: 'seen',
        value: { writtenBytes: 40 * MIB, readBytes: 5 * 4096, writeRate: 4 * MIB, lastIoAgoMs: 0 },
      },
      progress: { expectedBytes: 100 * MIB, expectedFrom: 'request', shareWritten: 0.4, secondsLeft: 15 },
    });
  });

  it('without an expectation is held against the size of the volume', async () => {
    const { rig, id, poll, describe } = await attached();
    rig.guest.transfer(id, { written: GIB });
    await poll();
    expect((await describe()).activity.progress).toMatchObject({
      expectedBytes: 5 * GIB,
      expectedFrom: 'volume',
      shareWritten: 0.2,
    });
  });

  it("is unknown, with the reason, once another disk has its letter; the other disk's counters are not shown", async () => {
    const { rig, id, poll, describe } = await attached();
    rig.guest.transfer(id, { written: GIB });
    await poll();
    rig.guest.surpriseUnplug(id);
    await rig.guest.plug({ volumeId: 'other', size: 5 * GIB, serial: 'other' });
    rig.guest.transfer('other', { written: 3 * GIB });
    await poll();
    const { activity } = await describe();
    expect(activity.traffic).toMatchObject({ kind: 'unknown', why: expect.stringContaining('/dev/vdb') });
    expect(activity.progress).toMatchObject({ shareWritten: null, secondsLeft: null });
  });

  it('whose clients cannot be counted is told with the reason, and the rest is there', async () => {
    const { rig } = await attached();
    const snapshot = { ...(await rig.guest.look()), at: 0, scanned: true };
    const traffic = new ExportTraffic({
      ledger: () => rig.ledger,
      server: {
        clients: async () => {
          throw new Error('/proc is not readable');
        },
      },
      watcher: { snapshot: () => snapshot },
      traffic: new TrafficMonitor({ counters: rig.guest, clock: rig.clock }),
      clock: rig.clock,
      applianceVmId: () => rig.here,
    });
    const [active] = await traffic.describe(await rig.ledger.listExports({}));
    expect(active?.activity).toMatchObject({
      clients: { kind: 'unknown', why: expect.stringContaining('/proc is not readable') },
      traffic: { kind: 'seen' },
    });
  });

  it('is not asked for by a daemon at rest: nothing but the kernel, however often it polls', async () => {
    const { rig, poll } = await attached();
    await poll();
    const { listMappings } = rig.ledger;
    let asked = 0;
    rig.ledger.listMappings = (vmId) => {
      asked += 1;
      return listMappings.call(rig.ledger, vmId);
    };
    await poll(LIMITS.TRAFFIC_MAPPINGS_MS / POLL_MS - 1);
    expect(asked).toBe(0);
    await poll();
    expect(asked).toBe(1);
  });

  it('goes on to be observed while the database is away', async () => {
    const { rig, id, poll, describe } = await attached();
    await poll();
    const { listMappings } = rig.ledger;
    rig.ledger.listMappings = async () => {
      throw new Error('away');
    };
    rig.guest.transfer(id, { written: MIB });
    await poll(20);
    rig.ledger.listMappings = listMappings;
    const { activity } = await describe();
    expect(activity.traffic).toMatchObject({ kind: 'seen', value: { lastIoAgoMs: 19 * POLL_MS } });
  });
});

describe('those who follow are told', () => {
  it('of an export while bytes flow, once more when they have stopped, and then no more', async () => {
    const { rig, id, told, follow, poll } = await attached();
    await poll();
    follow();
    await poll(3);
    expect(told).toEqual([]);
    rig.guest.transfer(id, { written: 10 * MIB });
    await poll(20);
    const rates = told.map(({ activity }) =>
      activity.traffic.kind === 'seen' ? activity.traffic.value.writeRate : null,
    );
    expect(rates.slice(0, -1).every((rate) => rate !== null && rate > 0)).toBe(true);
    expect(rates.at(-1)).toBe(0);
    expect(rates.length).toBeLessThanOrEqual(LIMITS.TRAFFIC_WINDOW_MS / POLL_MS + 1);
  });

  it('also while it is only read', async () => {
    const { rig, id, told, follow, poll } = await attached();
    await poll();
    follow();
    rig.guest.transfer(id, { read: MIB });
    await poll();
    expect(told).toHaveLength(1);
  });

  it('at most once a second, however often the disks are looked at', async () => {
    const { rig, id, told, follow, poll } = await attached();
    await poll();
    follow();
    for (let time = 0; time < 40; time += 1) {
      rig.guest.transfer(id, { written: MIB });
      await rig.pass(250);
      await rig.domain.traffic.sample();
    }
    expect(told.length).toBeGreaterThan(5);
    expect(told.length).toBeLessThanOrEqual(10);
  });
});

describe('what was expected', () => {
  it('stays with an export that is published again, and goes with its detach', async () => {
    const { rig, id } = await attached({ expected_bytes: 42 });
    await rig.during(rig.domain.exports.publish(id, { vm_name: 'web' }));
    expect((await rig.ledger.readExport(id))?.metadata).toMatchObject({
      expected_bytes: '42',
      vm_name: 'web',
    });
    rig.guest.hold(id, [CLIENT]);
    await rig.run('detach', { volume_id: id, force: true });
    rig.guest.hold(id, []);
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    expect((await rig.ledger.readExport(id))?.metadata.expected_bytes).toBeUndefined();
  });

  it.each(['', '0', '-5', '1e9', '99999999999999999', 'many'])(
    '%j in a row of another program is no number of bytes: the size of the volume counts',
    (expected_bytes) => {
      const nothing = unknown('no look', 0, 'guest');
      expect(progressOf({ metadata: { expected_bytes } }, 7, nothing)).toMatchObject({
        expectedBytes: 7,
        expectedFrom: 'volume',
      });
    },
  );

  it('more than it may be written: the share ends at 1, and no time is left', () => {
    const traffic = (writeRate: number) =>
      seen(
        { readBytes: 0, writtenBytes: 20, readRate: 0, writeRate, lastIoAgoMs: 0, observedForMs: 9 },
        0,
        'guest',
      );
    expect(progressOf({ metadata: { expected_bytes: '10' } }, 7, traffic(1))).toMatchObject({
      shareWritten: 1,
      secondsLeft: null,
    });
    const stands = progressOf({ metadata: { expected_bytes: '40' } }, 7, traffic(0));
    expect(stands, 'a copy that stands has no end').toMatchObject({ shareWritten: 0.5, secondsLeft: null });
    expect(keptMetadata({ vm_name: 'web' })).toEqual({});
  });
});
