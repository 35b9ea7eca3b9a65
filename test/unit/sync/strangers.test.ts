import { describe, expect, it } from 'vitest';
import { MemoryAppliance, run, told } from './appliance';

describe('a disk here without a row, whose volume no list shows', () => {
  /** An attach of it has completed here once, and its serial tells which volume it is. */
  async function unlisted() {
    const appliance = await MemoryAppliance.start();
    const volume = appliance.addVolume({ vmId: appliance.vmId });
    await appliance.attachedOnce(volume.id);
    await appliance.plug(volume.id);
    appliance.unlisted.add(volume.id);
    await appliance.clock.advance(60_000);
    return { appliance, volume };
  }

  it('gets its row: the volume is asked for by its id', async () => {
    const { appliance, volume } = await unlisted();
    expect(told(await run(appliance))).toEqual(['unmapped-volume repaired']);
    expect(await appliance.ledger.readMapping(volume.id)).toMatchObject({ vmId: appliance.vmId });
  });

  it('is called used by the system where it is, with and without the row of another VM', async () => {
    const { appliance, volume } = await unlisted();
    appliance.guest.hold(volume.id, [{ kind: 'mount', detail: '/srv' }]);
    await appliance.putRow(appliance.remoteRow(volume.id));
    for (const before of [['stale-mapping repaired'], [], []]) {
      const report = await run(appliance);
      expect(told(report)).toEqual([...before, 'used-by-system reported']);
      expect(report.drifts.at(-1)).toMatchObject({ volumeId: volume.id });
    }
    expect(await appliance.ledger.readMapping(volume.id)).toBeNull();
  });

  it('is a ghost once CloudStack says that the volume is gone', async () => {
    const { appliance, volume } = await unlisted();
    appliance.never.add(volume.id);
    const report = await run(appliance);
    expect(told(report)).toEqual(['ghost-disk reported']);
    expect(report.drifts[0]).toMatchObject({ volumeId: volume.id });
  });

  it('is not visible, and named, where CloudStack does not show it', async () => {
    const { appliance, volume } = await unlisted();
    appliance.model.conditions.add({ kind: 'hidden', id: volume.id });
    const report = await run(appliance);
    expect(told(report)).toEqual(['not-visible reported']);
    expect(report.drifts[0]?.message).toContain(`of volume ${volume.id}`);
  });
});

it('what a create may have left behind is nobody’s only until somebody puts it to use', async () => {
  const appliance = await MemoryAppliance.start();
  const [made, left] = [appliance.addVolume(), appliance.addVolume()];
  await appliance.createdOnce(made.id, [left.id]);
  await appliance.clock.advance(60_000);
  expect(told(await run(appliance))).toEqual(['unclaimed-volume reported']);
  await appliance.attachedOnce(left.id);
  await appliance.clock.advance(60_000);
  expect(told(await run(appliance))).toEqual([]);
});
