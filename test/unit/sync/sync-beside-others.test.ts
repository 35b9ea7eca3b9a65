import { describe, expect, it } from 'vitest';
import { CloudError } from '~/server/cloudstack/cloud';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { unknown } from '~/server/model/evidence';
import { exportName } from '~/server/model/export-name';
import { GIB, MemoryAppliance, run, told, withUnmapped } from './appliance';

const HOUR_MS = 3_600_000;

describe('what happens while sync looks and repairs', () => {
  it('an operation that ended after the look takes precedence', async () => {
    const { appliance, id } = await withUnmapped();
    const { listVolumes } = appliance.cloud;
    appliance.cloud.listVolumes = async (filter) => {
      const volumes = await listVolumes.call(appliance.cloud, filter);
      await appliance.begin(id);
      const [operation] = await appliance.ledger.listOperations({ volumeId: id, limit: 1 });
      await appliance.ledger.requestCancel(appliance.owned, operation?.id ?? '');
      return volumes;
    };
    const report = await run(appliance);
    expect({ drifts: report.drifts, skipped: report.skippedVolumes }).toEqual({ drifts: [], skipped: 1 });
    expect(await appliance.ledger.readMapping(id)).toBeNull();
  });

  it('an operation of another appliance on the same database is not disturbed either', async () => {
    const { appliance, id } = await withUnmapped();
    const other = await appliance.ledger.takeOver(appliance.otherVm, 'their daemon');
    await appliance.begin(id, other);
    expect((await run(appliance)).drifts).toEqual([]);
  });

  it('a clock that is set back by a year does not keep the volume of an earlier operation from being mended', async () => {
    const { appliance, id } = await withUnmapped();
    await appliance.begin(id);
    const [operation] = await appliance.ledger.listOperations({ volumeId: id, limit: 1 });
    await appliance.ledger.requestCancel(appliance.owned, operation?.id ?? '');
    await appliance.clock.advance(60_000);
    appliance.clock.set(-365 * 86_400_000);
    expect(told(await run(appliance))).toEqual(['unmapped-volume repaired']);
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
  });

  it.each([
    ['back', -2 * HOUR_MS, 'in this boot', undefined],
    ['back', -2 * HOUR_MS, 'right before the boot', null],
    ['forward', LIMITS.READ_SETTLE_MS + 1_000, 'in this boot', undefined],
    ['forward', 2 * HOUR_MS, 'in this boot', undefined],
  ])(
    'a daemon that starts right after the clock was set %s by %d ms %s does not take its last operation for an old one',
    async (...[, byMs, , note]) => {
      const appliance = await MemoryAppliance.start();
      const { id } = appliance.addVolume();
      await appliance.putRow(appliance.remoteRow(id));
      await appliance.clock.advance(60_000);
      await appliance.attachedOnce(id);
      appliance.clock.set(byMs);
      if (note === null) appliance.clockNote = null;
      const sync = appliance.startSync();
      expect(told(await sync.run({ dryRun: false, reason: 'start' }))).toEqual([]);
      expect(await appliance.ledger.readMapping(id)).not.toBeNull();
      await appliance.clock.advance(LIMITS.READ_SETTLE_MS + 1);
      expect(told(await sync.run({ dryRun: false, reason: 'task' }))).toEqual(['stale-mapping repaired']);
    },
  );

  it('a daemon that starts right after its clock was set repairs at once what no operation has touched', async () => {
    const { appliance, id } = await withUnmapped();
    appliance.clock.set(2 * HOUR_MS);
    const report = await appliance.startSync().run({ dryRun: false, reason: 'start' });
    expect(told(report)).toEqual(['unmapped-volume repaired']);
    const away = appliance.addVolume();
    await appliance.putRow(appliance.remoteRow(away.id));
    appliance.clock.set(2 * HOUR_MS);
    const again = await appliance.startSync().run({ dryRun: false, reason: 'start' });
    expect(told(again)).toEqual(['stale-mapping repaired']);
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
  });

  it('an operation accepted between two steps takes the volume from where it is', async () => {
    const { appliance, id } = await withUnmapped();
    const { auditedChange } = appliance.ledger;
    appliance.ledger.auditedChange = async (...change) => {
      const entry = await auditedChange.apply(appliance.ledger, change);
      appliance.ledger.auditedChange = auditedChange;
      await appliance.begin(id);
      return entry;
    };
    expect(told(await run(appliance))).toEqual(['unmapped-volume reported']);
    expect(appliance.exports.changes).toEqual([]);
  });

  it('an operation that begins while the users of the disk are looked at is no failure of sync', async () => {
    const { appliance } = await withUnmapped();
    appliance.exports.publish = async () => {
      throw new DaemonError('VOLUME_BUSY', 'an operation works on it');
    };
    const report = await run(appliance);
    expect(told(report)).toEqual(['unmapped-volume reported']);
    expect(report.drifts[0]?.message).not.toContain('not repaired');
  });

  it('a daemon that loses its lease while it publishes mends nothing more, and says so', async () => {
    const { appliance } = await withUnmapped();
    appliance.exports.publish = async () => {
      throw new DaemonError('LEASE_LOST', 'the lease has ended');
    };
    await expect(run(appliance)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  it('a disk that has another size since the look is not exported', async () => {
    const { appliance, id } = await withUnmapped();
    const { auditedChange } = appliance.ledger;
    appliance.ledger.auditedChange = async (...change) => {
      const entry = await auditedChange.apply(appliance.ledger, change);
      appliance.ledger.auditedChange = auditedChange;
      await appliance.guest.resize(id, 4 * GIB);
      return entry;
    };
    const report = await run(appliance);
    expect(told(report)).toEqual(['unmapped-volume failed']);
    expect(report.drifts[0]?.message).toContain('/dev/vdb has another size now');
    expect(appliance.exports.changes).toEqual([]);
  });

  it('a disk that was swapped after the look is not exported', async () => {
    const { appliance, id } = await withUnmapped();
    const { auditedChange } = appliance.ledger;
    appliance.ledger.auditedChange = async (...change) => {
      const entry = await auditedChange.apply(appliance.ledger, change);
      appliance.ledger.auditedChange = auditedChange;
      await appliance.guest.unplug(id);
      await appliance.plug(appliance.addVolume({ vmId: appliance.vmId }).id);
      return entry;
    };
    const report = await run(appliance);
    expect(told(report)).toEqual(['unmapped-volume failed']);
    expect(report.drifts[0]?.message).toMatch(/not repaired: .* is not published: \/dev\/vdb has serial/);
    expect(appliance.exports.changes).toEqual([]);
  });

  it('an export that somebody withdrew after the look stays withdrawn', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    appliance.exports.links.delete(exportName(id));
    const { list } = appliance.exports;
    appliance.exports.list = async () => {
      const configured = await list.call(appliance.exports);
      await appliance.putExport(id, '/dev/vdb', 'withdrawn');
      return configured;
    };
    expect(told(await run(appliance))).toEqual(['missing-export repaired']);
    expect(appliance.exports.links.has(exportName(id))).toBe(false);
    expect(await appliance.ledger.readExport(id)).toMatchObject({ status: 'pending' });
  });
});

describe('somebody decides about an export while sync publishes it', () => {
  /** Not exported yet; `meanwhile` happens once a publish of sync has begun. */
  async function publishing(meanwhile: (appliance: MemoryAppliance, id: string) => Promise<void>) {
    const { appliance, id } = await withUnmapped();
    const { publish } = appliance.exports;
    appliance.exports.publish = async (target) => {
      appliance.exports.publish = publish;
      await meanwhile(appliance, id);
      await publish.call(appliance.exports, target);
    };
    await run(appliance);
    return { appliance, id };
  }

  it('who has withdrawn it has withdrawn it', async () => {
    const { appliance, id } = await publishing((found, volumeId) =>
      found.putExport(volumeId, '/dev/vdb', 'withdrawn'),
    );
    expect(appliance.exports.links.has(exportName(id))).toBe(false);
    expect(await appliance.ledger.readExport(id)).toMatchObject({ metadata: { withdrawn: 'true' } });
    expect(told(await run(appliance))).toEqual([]);
  });

  it('who has published it for reading only is not given one that can be written', async () => {
    const { appliance, id } = await publishing((found, volumeId) =>
      found.putExport(volumeId, '/dev/vdb', 'active', { read_only: 'true' }),
    );
    expect(await appliance.exports.list()).toMatchObject([
      { target: '/dev/vdb', published: { readOnly: true } },
    ]);
    expect(await appliance.ledger.readExport(id)).toMatchObject({ metadata: { read_only: 'true' } });
  });
});

describe('the second look at what seems wrong', () => {
  /** The list of CloudStack, and what happens before it is judged. */
  const afterTheList = (appliance: MemoryAppliance, happens: () => Promise<void> | void) => {
    const { listVolumes } = appliance.cloud;
    appliance.cloud.listVolumes = async (filter) => {
      const volumes = await listVolumes.call(appliance.cloud, filter);
      appliance.cloud.listVolumes = listVolumes;
      await happens();
      return volumes;
    };
  };
  const place = (appliance: MemoryAppliance, id: string, vmId: string | null) =>
    Object.assign(appliance.model.volumes.find((one) => one.id === id) ?? {}, {
      vmId,
      deviceId: vmId === null ? null : 1,
    });

  it('a disk that came while CloudStack was read is no phantom, and keeps its row', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    await appliance.guest.unplug(id);
    afterTheList(appliance, () => appliance.plug(id));
    expect(told(await run(appliance))).toEqual([]);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({ linuxState: 'detected' });
    expect(told(await run(appliance))).toEqual(['letter-moved repaired']);
  });

  it('a disk that left while CloudStack was read is no ghost', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    place(appliance, id, null);
    afterTheList(appliance, () => appliance.guest.unplug(id));
    expect(told(await run(appliance))).toEqual([]);
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
  });

  it('a row names no VM that the volume has left since the list', async () => {
    const appliance = await MemoryAppliance.start();
    const [third, fourth] = ['third', 'fourth'].map((name) => appliance.model.addVm({ name }).id);
    const { id } = appliance.addVolume({ vmId: third ?? null });
    await appliance.putRow(appliance.remoteRow(id));
    afterTheList(appliance, () => void place(appliance, id, fourth ?? null));
    expect(told(await run(appliance))).toEqual([]);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({ vmId: appliance.otherVm });
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({ vmId: fourth });
  });

  it('an export that somebody has published again while CloudStack was read stays open', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    await appliance.putExport(id, '/dev/vdb', 'withdrawn');
    afterTheList(appliance, async () => {
      await appliance.clock.advance(1);
      await appliance.putExport(id, '/dev/vdb', 'active');
    });
    expect(told(await run(appliance))).toEqual([]);
    expect(appliance.exports.links.get(exportName(id))).toBe('/dev/vdb');
  });

  it.each([
    ['was given to another VM', (appliance: MemoryAppliance) => appliance.otherVm],
    ['was detached', () => null],
  ])(
    'an export is not opened for a volume that %s since the list, whose disk has stayed',
    async (_, where) => {
      const { appliance, id } = await withUnmapped();
      await run(appliance);
      appliance.exports.links.delete(exportName(id));
      const published = () =>
        appliance.exports.changes.filter((change) => change.startsWith('publish')).length;
      const before = published();
      afterTheList(appliance, () => void place(appliance, id, where(appliance)));
      const report = await run(appliance);
      expect(told(report)).toEqual(['missing-export failed']);
      expect(report.drifts[0]?.message).toContain('its disk here');
      expect(published()).toBe(before);
      expect(told(await run(appliance))).toEqual(['ghost-disk reported']);
    },
  );

  it('nor for one that was made larger since the list, whose disk here has not grown yet', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    appliance.exports.links.delete(exportName(id));
    afterTheList(appliance, () => {
      const volume = appliance.model.volumes.find((one) => one.id === id);
      if (volume) volume.size *= 2;
    });
    const report = await run(appliance);
    expect(told(report)).toEqual(['missing-export failed']);
    expect(report.drifts[0]?.message).toContain('CloudStack says');
    expect(appliance.exports.links.has(exportName(id))).toBe(false);
  });

  it('one that CloudStack cannot be asked about again is opened as its list says', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    appliance.exports.links.delete(exportName(id));
    appliance.cloud.readVolume = async () => {
      throw new CloudError('too many requests', { kind: 'rate-limit', outcome: 'not-started' });
    };
    expect(told(await run(appliance))).toEqual(['missing-export repaired']);
    expect(appliance.exports.links.get(exportName(id))).toBe('/dev/vdb');
  });

  it('one that CloudStack does not show again is opened as its list says', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    appliance.exports.links.delete(exportName(id));
    appliance.cloud.readVolume = async () =>
      unknown('the list is empty', appliance.clock.now(), 'cloudstack');
    expect(told(await run(appliance))).toEqual(['missing-export repaired']);
    expect(appliance.exports.links.get(exportName(id))).toBe('/dev/vdb');
  });

  it('one that cannot be made leaves what was known, with since when, and says so', async () => {
    const { appliance, id } = await withUnmapped();
    await run(appliance);
    place(appliance, id, null);
    const first = await run(appliance);
    expect(told(first)).toEqual(['ghost-disk reported']);
    await appliance.clock.advance(60_000);
    appliance.cloud.readVolume = async () => {
      throw new CloudError('too many requests', { kind: 'rate-limit', outcome: 'not-started' });
    };
    const second = await run(appliance);
    expect(second.drifts).toEqual([{ ...first.drifts[0], notJudgedSince: first.finishedAt }]);
    expect(second).toMatchObject({ judged: true, skippedVolumes: 1 });
    expect(second.unavailable).toEqual([expect.stringMatching(new RegExp(`${id}.*too many requests`))]);
  });
});

describe('two appliances on one database, with keys of two accounts', () => {
  it.each([
    [
      'hidden from ours',
      (appliance: MemoryAppliance, id: string) => void appliance.model.conditions.add({ kind: 'hidden', id }),
    ],
    ['denied to ours', (appliance: MemoryAppliance, id: string) => void appliance.never.add(id)],
    ['shown as detached', () => {}],
  ])('the rows of the other one are its business: its volume is %s', async (_story, change) => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume();
    await appliance.putRow(appliance.remoteRow(id));
    await appliance.ledger.takeOver(appliance.otherVm, 'their daemon');
    change(appliance, id);
    expect(told(await run(appliance))).toEqual([]);
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
  });

  it('it may still run when its lease has ended: its volume, attached here, is mapped here once that was watched', async () => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume();
    await appliance.putRow(appliance.remoteRow(id));
    await appliance.ledger.takeOver(appliance.otherVm, 'their daemon');
    await appliance.plug(id);
    Object.assign(appliance.model.inventory.volume('', '', id), { vmId: appliance.vmId, deviceId: 1 });
    await appliance.clock.advance(LIMITS.LEASE_MS);
    expect(told(await run(appliance))).toEqual([]);
    await appliance.clock.advance(LIMITS.LEASE_MS);
    await run(appliance);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({ vmId: appliance.vmId });
  });

  it('its row lends its plug to no disk of this guest, where the volume is said to be now', async () => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume({ vmId: appliance.vmId });
    await appliance.putRow({
      ...appliance.remoteRow(id),
      serial: 'theirs',
      diskseq: 7,
      bootId: appliance.otherVm,
    });
    await run(appliance);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({
      vmId: appliance.vmId,
      linuxState: 'missing',
      serial: null,
      diskseq: null,
      bootId: null,
    });
  });

  it('a ghost stays reported after the other one has attached and mapped its volume', async () => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume();
    await appliance.plug(id);
    await appliance.ledger.takeOver(appliance.otherVm, 'their daemon');
    expect(told(await run(appliance))).toEqual(['ghost-disk reported']);
    Object.assign(appliance.model.inventory.volume('', '', id), { vmId: appliance.otherVm, deviceId: 1 });
    await appliance.putRow(appliance.remoteRow(id));
    expect(told(await run(appliance))).toEqual(['ghost-disk reported']);
    expect(await appliance.ledger.readMapping(id)).toMatchObject({ vmId: appliance.otherVm });
  });

  it('an operation of the other one has just ended, whose clock is a minute ahead: its row is not undone by an old answer', async () => {
    const appliance = await MemoryAppliance.start();
    const third = appliance.model.addVm({ name: 'third' }).id;
    const other = await appliance.ledger.takeOver(third, 'their daemon');
    const { id } = appliance.addVolume();
    await appliance.putRow(appliance.remoteRow(id));
    await appliance.begin(id, other);
    const [operation] = await appliance.ledger.listOperations({ volumeId: id, limit: 1 });
    await appliance.ledger.claim(other, 1);
    await appliance.ledger.append(other, operation?.id ?? '', {
      after: 2,
      at: appliance.clock.now() + 60_000,
      entries: [],
      end: { status: 'completed', response: {}, error: null, errorCode: null },
    });
    await appliance.clock.advance(5_000);
    expect(told(await run(appliance))).toEqual([]);
    expect(await appliance.ledger.readMapping(id)).not.toBeNull();
    await appliance.clock.advance(LIMITS.CLOCKS_AGREE_MS + 2 * 60_000);
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
  });

  it('a row of a VM on which no daemon ever ran is ours to mend', async () => {
    const appliance = await MemoryAppliance.start();
    const { id } = appliance.addVolume();
    await appliance.putRow(appliance.remoteRow(id));
    expect(told(await run(appliance))).toEqual(['stale-mapping repaired']);
  });
});
