import { expect, it } from 'vitest';
import { MemoryExports } from '~/lab/exports/memory-exports';
import { VolumeQueries } from '~/server/daemon/volumes/volume-queries';
import { Rig } from './rig';

it('a list of exports with a limit counts what it shows: one that was withdrawn takes no place in it', async () => {
  const rig = await Rig.start();
  for (const _ of [1, 2]) {
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    await rig.during(rig.domain.exports.publish(id, {}));
  }
  const listed = async (limit?: number) =>
    (await rig.domain.exports.list({ limit })).map(({ volumeId }) => volumeId);
  const [first = '', second] = await listed();
  expect(await listed(1)).toEqual([first]);
  await rig.during(rig.domain.exports.withdraw(first, { force: false }));
  expect(await listed(1)).toEqual([second]);
  expect(await listed()).toEqual([second]);
});

it('an export that was withdrawn on purpose is none in every answer, not one that is pending', async () => {
  const rig = await Rig.start();
  const { id } = await rig.volume({ vmId: rig.here, mapped: true });
  await rig.during(rig.domain.exports.publish(id, {}));
  const { ledger, cloud, clock, guest, domain } = rig;
  const seen = { ...(await guest.look()), scanned: true, at: clock.now() };
  const volumes = new VolumeQueries({
    ...{ cloud, clock, guest, catalogue: domain.catalogue, devDir: '/dev' },
    clockSteps: domain.clockSteps,
    exports: new MemoryExports(rig.server),
    watcher: { snapshot: () => seen, channelEvents: () => [], onEvent: () => () => {} },
    ledger: () => ledger,
    applianceVmId: () => rig.here,
  });
  const told = async () => {
    const described = await rig.during(volumes.describe(id));
    const page = await rig.during(volumes.list({ limit: 10 }));
    return [described.export?.status, page.volumes.find((one) => one.id === id)?.rows.export?.status];
  };
  expect(await told()).toEqual(['active', 'active']);
  await rig.during(rig.domain.exports.withdraw(id, { force: false }));
  expect(await told()).toEqual([undefined, undefined]);
});
