import { describe, expect, it, vi } from 'vitest';
import { CloudError } from '~/server/cloudstack/cloud';
import { LIMITS } from '~/server/core/limits';
import { exportName } from '~/server/model/export-name';
import type { SyncReport } from '~/server/sync/drift';
import { mapping } from '../../contract/ledger/fixtures';
import { GIB, MemoryAppliance, run, told, withUnmapped } from './appliance';

describe('rows that an old daemon has left', () => {
  it('are deleted only after somebody has seen which; what leads to a wrong disk is closed at once', async () => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume();
    await appliance.putRow(mapping(id, { vmId: appliance.vmId }));
    appliance.exports.links.set(exportName(id), '/dev/vdb');
    appliance.ledger.store.adoption = { adoptedAt: 0, shownAt: null };
    const first = await run(appliance);
    expect(told(first)).toEqual(['stale-mapping reported']);
    expect(first.drifts[0]?.remedy).toContain('volumectl adopt --plan');
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
    expect(appliance.exports.links.get(exportName(id)) ?? null).toBeNull();
    expect(told(await run(appliance, true))).toEqual(['stale-mapping planned']);
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
    expect(await appliance.ledger.readMapping(id)).toBeNull();
  });

  it('the same again when it has worked meanwhile, also for a daemon that has deleted such rows before', async () => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume();
    await appliance.putRow(mapping(id, { vmId: appliance.vmId }));
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
    appliance.ledger.store.adoption = { adoptedAt: 1, shownAt: null };
    await appliance.putRow(mapping(id, { vmId: appliance.vmId }));
    expect(told(await run(appliance))).toEqual(['stale-mapping reported']);
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
  });

  it('one that names no UUID is judged like any other, and keeps no other from being judged', async () => {
    const { appliance, id } = await withUnmapped();
    await appliance.putRow(mapping('test-disk-1', { vmId: appliance.vmId, devicePath: '/dev/vdx' }));
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired', 'unmapped-volume repaired']);
    expect((await appliance.ledger.listMappings()).map(({ volumeId }) => volumeId)).toEqual([id]);
  });
});

describe('a volume on another VM without a mapping', () => {
  /** Attached there by hand; `own`: an attach of ours completed long ago. */
  async function leftover(own: boolean) {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume({ vmId: appliance.otherVm });
    if (own) await appliance.attachedOnce(id);
    await appliance.clock.advance(60_000);
    return { appliance, id, place: async () => (await appliance.ledger.readMapping(id))?.vmId ?? null };
  }
  const move = (appliance: MemoryAppliance, id: string, vmId: string | null) =>
    Object.assign(appliance.model.volumes.find((one) => one.id === id) ?? {}, {
      vmId,
      deviceId: vmId === null ? null : 1,
    });

  it('is mapped once, without a device and without an export, and nothing is left to do', async () => {
    const { appliance, id } = await leftover(true);
    expect(told(await run(appliance))).toEqual(['unmapped-volume repaired']);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({
      vmId: appliance.otherVm,
      devicePath: `remote-vm-${appliance.otherVm}-${id}`,
      linuxState: 'n/a',
      serial: null,
    });
    expect(appliance.exports.changes).toEqual([]);
    expect(told(await run(appliance))).toEqual([]);
  });

  it('is not one that is here: that is mapped with its device, and once', async () => {
    const { appliance, id } = await withUnmapped();
    await appliance.attachedOnce(id);
    await appliance.clock.advance(60_000);
    expect(told(await run(appliance))).toEqual(['unmapped-volume repaired']);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({
      vmId: appliance.vmId,
      devicePath: '/dev/vdb',
    });
  });

  it('gets no row when nothing proves that it is ours', async () => {
    const { appliance, place } = await leftover(false);
    expect(told(await run(appliance))).toEqual([]);
    expect(await place()).toBeNull();
  });

  it('is followed wherever it goes: its row never says what CloudStack does not', async () => {
    const { appliance, id, place } = await leftover(true);
    await run(appliance);
    const third = appliance.model.addVm({ name: 'third' }).id;
    move(appliance, id, third);
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
    expect(await place()).toBe(third);
    appliance.model.conditions.add({ kind: 'hidden', id });
    expect(told(await run(appliance))).toEqual(['not-visible reported']);
    expect(await place()).toBe(third);
    appliance.model.conditions.clear();
    move(appliance, id, appliance.vmId);
    await appliance.plug(id);
    expect(told(await run(appliance))).toEqual(['unmapped-volume repaired']);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({
      vmId: appliance.vmId,
      linuxState: 'detected',
    });
    await appliance.guest.unplug(id);
    move(appliance, id, null);
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
    expect(await place()).toBeNull();
  });

  it('gets no row from a list that is older than its detach', async () => {
    const { appliance, id, place } = await leftover(true);
    const { listVolumes } = appliance.cloud;
    appliance.cloud.listVolumes = async (filter) => {
      const volumes = await listVolumes.call(appliance.cloud, filter);
      move(appliance, id, null);
      return volumes;
    };
    expect(told(await run(appliance))).toEqual([]);
    expect(await place()).toBeNull();
  });

  it('on the VM of another daemon is that daemon’s', async () => {
    const { appliance, place } = await leftover(true);
    await appliance.ledger.takeOver(appliance.otherVm, 'their daemon');
    expect(told(await run(appliance))).toEqual([]);
    expect(await place()).toBeNull();
  });
});

describe('a disk that has become smaller while CloudStack cannot be asked', () => {
  it.each([
    ['where it was', 0],
    ['with another letter', 1],
  ])(
    '%s: it is not exported, by the next run neither, and opened again when CloudStack says that it fits',
    async (_where, isMoved) => {
      const { appliance, id } = await withUnmapped();
      await run(appliance);
      const { listVolumes, readVolume } = appliance.cloud;
      const away = () =>
        Promise.reject(new CloudError('no answer', { kind: 'network', outcome: 'not-started' }));
      Object.assign(appliance.cloud, { listVolumes: away, readVolume: away });
      if (isMoved) {
        await appliance.guest.unplug(id);
        await appliance.plug(appliance.addVolume({ vmId: appliance.vmId }).id);
        await appliance.plug(id, 4 * GIB);
      } else await appliance.guest.resize(id, 4 * GIB);
      for (let runs = 0; runs < 3; runs += 1) {
        await run(appliance);
        expect(appliance.exports.links.has(exportName(id))).toBe(false);
        expect(await appliance.ledger.readMapping(id)).toMatchObject({
          devicePath: appliance.guest.devicePath(id),
          size: 5 * GIB,
        });
      }
      Object.assign(appliance.cloud, { listVolumes, readVolume });
      Object.assign(appliance.model.volumes.find((one) => one.id === id) ?? {}, { size: 4 * GIB });
      await run(appliance);
      expect(appliance.exports.links.get(exportName(id))).toBe(appliance.guest.devicePath(id));
      expect(await appliance.ledger.readMapping(id)).toMatchObject({ size: 4 * GIB });
    },
  );
});

describe('the order of repairs', () => {
  it('what leads to a wrong disk is closed before anything is written, and exports are published at once', async () => {
    const { appliance } = await withUnmapped();
    const second = appliance.addVolume({ vmId: appliance.vmId }).id;
    await appliance.plug(second);
    const orphan = exportName(appliance.random.uuid());
    appliance.exports.links.set(orphan, '/dev/vdb');
    const order: string[] = [];
    const { withdraw, publish } = appliance.exports;
    const { auditedChange } = appliance.ledger;
    appliance.exports.withdraw = async (name) => {
      order.push('withdraw');
      await withdraw.call(appliance.exports, name);
    };
    appliance.ledger.auditedChange = async (epoch, effects, audit) => {
      if (effects.some(({ kind }) => kind === 'put-mapping')) order.push('row');
      return auditedChange.call(appliance.ledger, epoch, effects, audit);
    };
    appliance.exports.publish = async (target) => {
      order.push('publish begins');
      await new Promise((resolve) => setImmediate(resolve));
      await publish.call(appliance.exports, target);
      order.push('publish ends');
    };
    await run(appliance);
    const publishing = ['publish begins', 'publish begins', 'publish ends', 'publish ends'];
    expect(order).toEqual(['withdraw', 'row', 'row', ...publishing]);
  });
});

describe('what sync reports', () => {
  it('every repair is in the feed, with its drift and the volume', async () => {
    const { appliance, id } = await withUnmapped();
    appliance.exports.links.set(exportName(appliance.random.uuid()), null);
    expect(told(await run(appliance))).toEqual(['unmapped-volume repaired', 'orphan-export repaired']);
    const feed = await appliance.ledger.feed(appliance.vmId, 0, 100);
    expect(feed.map(({ step, state, data }) => [step, state, data.repair])).toEqual([
      ['sync:orphan-export', 'note', 'withdraw'],
      ['sync:unmapped-volume', 'note', 'rows'],
      ['sync:unmapped-volume', 'note', 'publish'],
    ]);
    expect(feed[1]?.data.volume_id).toBe(id);
  });

  it('a repair that fails says why, and is tried again by the next run', async () => {
    const { appliance } = await withUnmapped();
    const { publish } = appliance.exports;
    appliance.exports.publish = async () => {
      throw new Error('the export server is on holiday');
    };
    const report = await run(appliance);
    expect(told(report)).toEqual(['unmapped-volume failed']);
    expect(report.drifts[0]?.message).toContain('not repaired: the export server is on holiday');
    appliance.exports.publish = publish;
    expect(told(await run(appliance))).toEqual(['missing-export repaired']);
    expect(told(await run(appliance))).toEqual([]);
  });

  it('an export that cannot be closed keeps its row, which still says where it leads', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    Object.assign(appliance.model.volumes.find((one) => one.id === id) ?? {}, { vmId: null, deviceId: null });
    await appliance.guest.unplug(id);
    appliance.exports.withdraw = async () => {
      throw new Error('read-only file system');
    };
    const report = await run(appliance);
    expect(told(report)).toEqual(['stale-mapping failed']);
    expect(report.drifts[0]?.message).toContain('not repaired: read-only file system');
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
  });

  it.each([
    ['can be written', {}, false],
    ['cannot be written', { read_only: 'true' }, true],
  ])('an export whose link is lost comes back as its row says: %s', async (_how, access, readOnly) => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    await appliance.putExport(id, '/dev/vdb', 'active', access);
    await appliance.exports.withdraw(exportName(id));
    expect(told(await run(appliance))).toEqual(['missing-export repaired']);
    expect(await appliance.exports.list()).toMatchObject([{ target: '/dev/vdb', published: { readOnly } }]);
    expect((await appliance.ledger.readExport(id))?.metadata).toEqual({ vm_name: 'kept', ...access });
  });

  it('a ghost stays reported after its export and row are gone', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    Object.assign(appliance.model.inventory.volume('', '', id), { vmId: null, deviceId: null });
    expect(told(await run(appliance, true))).toEqual(['ghost-disk planned']);
    expect(told(await run(appliance))).toEqual(['ghost-disk reported']);
    expect(await appliance.ledger.readMapping(id)).toBeNull();
    expect(told(await run(appliance, true))).toEqual(['ghost-disk reported']);
  });

  it('a volume is stuck when it has kept its state for a while, not when somebody asks twice in a second', async () => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume({ vmId: appliance.otherVm, state: 'Attaching' });
    await appliance.putRow(appliance.remoteRow(id));
    expect(told(await run(appliance))).toEqual([]);
    await appliance.clock.advance(1_000);
    expect(told(await run(appliance))).toEqual([]);
    await appliance.clock.advance(LIMITS.STUCK_STATE_MS);
    expect(told(await run(appliance))).toEqual(['stuck-state reported']);
    appliance.model.inventory.volume('', '', id).state = 'Ready';
    expect(told(await run(appliance))).toEqual([]);
  });

  it('conflicting sources of the appliance’s id are a drift', async () => {
    const appliance = await MemoryAppliance.start();
    appliance.conflicts.push('ossea_configs.oma_vm_id says B, but OMA_VM_ID says A');
    expect(told(await run(appliance))).toEqual(['identity-conflict reported']);
  });
});

describe('an export that does not answer', () => {
  it('is asked once more: a server that is being restarted is not unhealthy', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    appliance.exports.sick.add(exportName(id));
    appliance.whileWaiting = async () => void appliance.exports.sick.clear();
    expect(told(await run(appliance))).toEqual([]);
    appliance.exports.sick.add(exportName(id));
    appliance.whileWaiting = async () => {};
    expect(told(await run(appliance))).toEqual(['unhealthy-export repaired']);
  });
});

describe('a view that is away', () => {
  it('CloudStack: it is reported, and nothing is judged by it', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    const reports: SyncReport[] = [];
    appliance.sync.onSynced = (one) => void reports.push(one);
    appliance.model.faults.add({ command: 'listVolumes', kind: 'status', code: 503 });
    await appliance.guest.unplug(id);
    const report = await run(appliance);
    expect(report.unavailable).toEqual([expect.stringMatching(/^cloudstack: /)]);
    expect(reports, 'whoever listens is told').toEqual([report]);
    expect(report.judged).toBe(false);
    // The row may be right again in a minute; the export that leads to nothing any more is not left open.
    expect(told(report)).toEqual(['unhealthy-export repaired']);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({ linuxState: 'detected' });
  });

  it.each([
    [
      'CloudStack',
      'cloudstack',
      (appliance: MemoryAppliance) =>
        void appliance.model.faults.add({ command: '*', kind: 'html', times: 99 }),
    ],
    ['the guest', 'guest', (appliance: MemoryAppliance) => void appliance.guest.breakLooks(new Error('EIO'))],
    [
      'the export server',
      'export server',
      (appliance: MemoryAppliance) => {
        appliance.exports.list = () => Promise.reject(new Error('refused'));
      },
    ],
  ])(
    '%s: what was known stays known and says since when, and it does not count as a sync',
    async (_what, view, breakIt) => {
      const { appliance, id } = await withUnmapped();
      await run(appliance);
      Object.assign(appliance.model.inventory.volume('', '', id), { vmId: null, deviceId: null });
      await appliance.clock.advance(60_000);
      const first = await run(appliance);
      expect(told(first)).toEqual(['ghost-disk reported']);
      breakIt(appliance);
      await appliance.clock.advance(60_000);
      for (let time = 0; time < 2; time += 1) {
        const report = await run(appliance);
        expect(report).toMatchObject({ judged: false, unavailable: [expect.stringContaining(view)] });
        const [ghost] = report.drifts;
        expect(report.drifts.map(({ kind }) => kind)).toEqual(['ghost-disk']);
        // The export server has no say in it: without it the ghost is judged all the same.
        expect(ghost?.notJudgedSince).toBe(view === 'export server' ? null : first.finishedAt);
        expect(appliance.sync.lastJudgedAt).toBe(first.finishedAt);
        expect(appliance.sync.last).toBe(report);
      }
    },
  );

  it('one that fails is told until one comes to its end; a dry run says nothing of it', async () => {
    const { appliance } = await withUnmapped();
    vi.spyOn(appliance.ledger, 'newestEntry').mockRejectedValueOnce(new Error('no right to read'));
    await expect(run(appliance)).rejects.toThrow('no right to read');
    await run(appliance, true);
    expect(appliance.sync.lastFailure).toBe('no right to read');
    await run(appliance);
    expect(appliance.sync.lastFailure).toBeNull();
  });

  it.each<[string, (appliance: MemoryAppliance, id: string) => Promise<unknown>]>([
    ['an operation on its volume is in flight', (appliance, id) => appliance.begin(id)],
    ['one has just ended', (appliance, id) => appliance.attachedOnce(id)],
    [
      'CloudStack is moving its volume',
      async (appliance, id) => {
        appliance.model.inventory.volume('', '', id).state = 'Migrating';
      },
    ],
    [
      'the guest does not tell which disk it has',
      async (appliance, id) => {
        await appliance.guest.unplug(id);
        const { look } = appliance.guest;
        await appliance.plug(appliance.addVolume({ vmId: appliance.vmId }).id);
        appliance.guest.look = async () => {
          const shown = await look.call(appliance.guest);
          const silent = { serial: null, serialState: 'unreadable' as const };
          return { ...shown, devices: shown.devices.map((device) => ({ ...device, ...silent })) };
        };
      },
    ],
  ])('a drift that is known stays known, with since when, while %s', async (_why, change) => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    Object.assign(appliance.model.inventory.volume('', '', id), { vmId: null, deviceId: null });
    await appliance.clock.advance(60_000);
    const first = await run(appliance);
    expect(told(first)).toEqual(['ghost-disk reported']);
    await appliance.clock.advance(60_000);
    await change(appliance, id);
    const report = await run(appliance);
    expect(report.judged).toBe(true);
    expect(report.drifts).toEqual([{ ...first.drifts[0], notJudgedSince: first.finishedAt }]);
  });

  it('a volume that was left alone is judged anew when nothing is done with it any more', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    Object.assign(appliance.model.inventory.volume('', '', id), { vmId: null, deviceId: null });
    await appliance.clock.advance(60_000);
    await run(appliance);
    await appliance.guest.unplug(id);
    await appliance.attachedOnce(id);
    expect(told(await run(appliance))).toEqual([]);
  });

  it('a dry run is no sync: it changes nothing of what is known', async () => {
    const { appliance } = await withUnmapped();
    await run(appliance, true);
    expect([appliance.sync.last, appliance.sync.lastJudgedAt]).toEqual([null, null]);
  });

  it('the guest: it is reported, and no disk is called missing', async () => {
    const { appliance } = await withUnmapped();
    await run(appliance);
    appliance.guest.breakLooks(new Error('EIO'));
    const report = await run(appliance);
    expect(report.unavailable).toEqual([expect.stringMatching(/^guest: .*EIO/)]);
    expect(report.drifts).toEqual([]);
  });

  it('one volume that cannot be looked up is left alone', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    appliance.unlisted.add(id);
    appliance.cloud.readVolume = async () => {
      throw new CloudError('no answer', { kind: 'network', outcome: 'unknown' });
    };
    const report = await run(appliance);
    expect(told(report)).toEqual(['not-visible reported']);
    expect(report).toMatchObject({
      skippedVolumes: 1,
      unavailable: [expect.stringContaining(id)],
    });
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
  });

  it('an empty list costs a bounded number of look-ups', async () => {
    const appliance = await MemoryAppliance.start();
    for (let index = 0; index < LIMITS.SYNC_LOOKUPS + 10; index += 1)
      await appliance.putRow(appliance.remoteRow(appliance.addVolume({ vmId: appliance.otherVm }).id));
    for (const { id } of appliance.model.volumes) appliance.unlisted.add(id);
    const report = await run(appliance);
    expect(told(report)).toEqual(Array(10).fill('not-visible reported'));
    expect(report.skippedVolumes).toBe(10);
    expect(appliance.calls().sort()).toEqual([
      'listVirtualMachines',
      ...Array(1 + LIMITS.SYNC_LOOKUPS).fill('listVolumes'),
    ]);
  });
});
