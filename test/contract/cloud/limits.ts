import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { GIB, QUICK, refused, type StartCloud, told, World } from './world';

/** Long lists, and a quota that is used up. */
export function limits(start: StartCloud): void {
  it('lists more volumes than fit on a page, each once', async () => {
    const { cloud, model, stop } = await start({ latencies: QUICK });
    const zoneId = model.inventory.firstZone().id;
    for (let index = 0; index < 1_100; index += 1)
      model.inventory.addVolume({ name: `v${index}`, size: GIB, zoneId, diskOfferingId: null });
    const listed = await cloud.listVolumes({});
    expect(new Set(listed.map(({ id }) => id)).size).toBe(1_101);
    expect(listed).toHaveLength(1_101);
    await stop();
  });

  it('a quota that is used up is 535, and final', async () => {
    const under = await start({ latencies: QUICK, volumeLimit: 0 });
    const world = new World(under);
    expect(told(await refused(world.cloud.submit(world.createCommand('one too many'), randomUUID())))).toBe(
      'quota final 535',
    );
    await under.stop();
  });
}
