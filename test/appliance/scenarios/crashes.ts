import type { OperationReply } from '~/lab/client';
import { check, type Scenario } from '../scenario';
import type { World } from '../world';

const COUNT = 6;
const KILLS = { attaching: 2, detaching: 1 };

export const daemonKilled: Scenario = {
  name: 'daemon-killed',
  story:
    'daemon killed again and again while 6 volumes attach, then detach: each ends, each effect happens once',
  machines: ['pc'],
  async run(world) {
    const ids = await world.createMany(COUNT);
    const attaches = await Promise.all(ids.map((id) => world.requestAttach(id)));
    await killAndEnd(world, attaches, KILLS.attaching);
    for (const id of ids)
      check(world.cloud.model.effectsOf(id, 'attach') === 1, `${id} was attached more than once`);
    await world.settled(ids);
    await world.verifyAll(ids);

    const detaches = await Promise.all(ids.map((id) => world.requestDetach(id)));
    await killAndEnd(world, detaches, KILLS.detaching);
    for (const id of ids) {
      check(world.cloud.model.effectsOf(id, 'detach') === 1, `${id} was detached more than once`);
      await world.verify(id);
    }
    check(world.guest.plugged().length === 0, 'disks are still plugged');
    return `${KILLS.attaching + KILLS.detaching} kills`;
  },
};

/** Kills the daemon so many times, each a moment after it is ready; then every operation must complete. */
async function killAndEnd(world: World, operations: readonly OperationReply[], kills: number): Promise<void> {
  for (let kill = 0; kill < kills; kill += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 1_500));
    await world.machine.agent.run('systemctl kill -s KILL volume-daemon');
    await world.ready();
  }
  for (const operation of operations) {
    const { status, error } = await world.outcome(operation);
    check(status === 'completed', `${operation.type} of ${operation.volume_id} ${status}: ${error}`);
  }
}

export const mariadbRestarted: Scenario = {
  name: 'mariadb-restarted',
  story:
    'MariaDB restarted and then killed while volumes attach: operations wait and end, nothing is done twice',
  machines: ['pc'],
  async run(world) {
    const ids = await world.createMany(4);
    const operations = await Promise.all(ids.map((id) => world.requestAttach(id)));
    await world.machine.agent.run('systemctl restart mariadb');
    await world.machine.agent.run('systemctl kill -s KILL mariadb');
    await world.ready();
    for (const operation of operations) {
      const { status, error } = await world.outcome(operation);
      check(status === 'completed', `attach of ${operation.volume_id} ${status}: ${error}`);
      check(world.cloud.model.effectsOf(operation.volume_id, 'attach') === 1, 'attached more than once');
    }
    await world.settled(ids);
    await world.verifyAll(ids);
    return undefined;
  },
};

export const exportServerRestarted: Scenario = {
  name: 'export-server',
  story:
    'export server restarted and killed with a client connected: the client carries on, new ones get the right disk',
  machines: ['pc'],
  async run(world) {
    const ids = await world.createMany(2);
    await Promise.all(ids.map((id) => world.attach(id)));
    await world.verifyAll(ids);
    const [first = ''] = ids;
    const client = await world.connect(first);
    await world.machine.agent.run('systemctl restart volume-daemon-nbd.service');
    await client.read(0, 4096);
    await world.machine.agent.run('systemctl kill --kill-who=main -s KILL volume-daemon-nbd');
    await client.read(4096, 4096);
    await client.close();
    await world.settled(ids);
    for (const id of ids) await world.verify(id, { over: 'export' });
    await world.verifyAll(ids);
    return undefined;
  },
};
