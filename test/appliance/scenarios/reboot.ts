import { check, type Scenario } from '../scenario';
import type { World } from '../world';

const COUNT = 6;

export const reboot: Scenario = {
  name: 'reboot',
  story:
    'guest rebooted with 6 volumes while the host shuffles them: mappings, links and exports right again by themselves',
  machines: ['pc', 'q35'],
  async run(world) {
    const ids = await world.createMany(COUNT);
    await Promise.all(ids.map((id) => world.attach(id)));
    await world.verifyAll(ids);
    const before = await pathsOf(world, ids);

    await world.machine.shutDown();
    world.guest.shuffle();
    await world.machine.start();
    await world.ready();
    await world.settled(ids);

    const after = await pathsOf(world, ids);
    const moved = ids.filter((id) => before.get(id) !== after.get(id)).length;
    check(moved > 0, 'no letter has changed: this run has shown nothing');
    // First what was written before the reboot, through the export as it is now; then new data.
    for (const id of ids) await world.verify(id, { over: 'export' });
    await world.verifyAll(ids);
    return `${moved} of ${COUNT} letters changed`;
  },
};

export const powerOff: Scenario = {
  name: 'power-off',
  story: 'the plug is pulled with 2 volumes attached and 3 attaching; after the boot all end right',
  machines: ['pc'],
  async run(world) {
    const attached = await world.createMany(2);
    await Promise.all(attached.map((id) => world.attach(id)));
    await world.verifyAll(attached);
    const others = await Promise.all([0, 1, 2].map((n) => world.create(`late-${n}`)));
    const operations = await Promise.all(others.map((id) => world.requestAttach(id)));
    // In the middle: CloudStack has plugged the first of them.
    await world.until('a disk is being attached', async () => world.guest.plugged().length > attached.length);

    await world.machine.powerOff();
    world.guest.shuffle();
    await world.machine.start();
    await world.ready();
    for (const operation of operations) {
      const { status, error } = await world.outcome(operation);
      check(status === 'completed', `attach of ${operation.volume_id} ${status}: ${error}`);
      check(world.cloud.model.effectsOf(operation.volume_id, 'attach') === 1, 'attached more than once');
    }
    await world.settled([...attached, ...others]);
    for (const id of attached) await world.verify(id, { over: 'export' });
    await world.verifyAll([...attached, ...others]);
    return undefined;
  },
};

async function pathsOf(world: World, ids: readonly string[]): Promise<Map<string, string>> {
  const entries = await Promise.all(
    ids.map(async (id) => [id, (await world.mapping(id)).device_path] as const),
  );
  return new Map(entries);
}
