import type { ExportReply } from '~/lab/client';
import { LiveClient } from '~/lab/exports/live-client';
import { check, type Scenario } from '../scenario';
import type { World } from '../world';

const GIB = 1024 ** 3;

export const surpriseUnplug: Scenario = {
  name: 'surprise-unplug',
  story:
    'a disk vanishes behind the back of CloudStack (phantom), another appears (ghost): fails closed, told by name',
  machines: ['pc', 'q35'],
  async run(world) {
    const [phantom = '', ghost = '', other = ''] = await world.createMany(3);
    await Promise.all([phantom, other].map((id) => world.attach(id)));
    await world.verifyAll([phantom, other]);

    const { export_name: name } = await world.api.get<ExportReply>(`/api/v1/exports/${phantom}`);
    await world.cloud.model.makePhantom(phantom);
    // By its name, without asking the daemon: a client that has been told it before.
    await world.until('the export fails closed', () =>
      LiveClient.open(world.machine.ports.nbd, name).then(
        (client) => client.close().then(() => false),
        () => true,
      ),
    );
    await world.verify(other, { over: 'export' });
    await world.cloud.model.makeGhost(ghost);
    await world.until('the guest shows the ghost', async () => {
      const serials = await world.machine.agent.run('cat /sys/block/vd*/serial');
      return serials.includes(ghost.replaceAll('-', '').slice(0, 20));
    });
    await world.until('sync names both drifts', async () => {
      const drifts = await world.sync();
      return (
        drifts.some(({ kind, volume_id }) => kind === 'phantom-attach' && volume_id === phantom) &&
        drifts.some(({ kind, volume_id }) => kind === 'ghost-disk' && volume_id === ghost)
      );
    });
    const exported = await world.api.get<readonly { volume_id: string }[]>('/api/v1/exports');
    check(!exported.some(({ volume_id }) => volume_id === ghost), 'the ghost is exported');
    await world.verifyAll([other]);

    // The disk comes back, perhaps under another letter: the same data, without an operator.
    await world.cloud.model.makeGhost(phantom);
    await world.settled([phantom, other]);
    await world.verify(phantom, { over: 'export' });
    await world.verifyAll([phantom, other]);
    return undefined;
  },
};

/** How the daemon is made to do nothing, and to go on. */
const ABSENCES = [
  { away: 'systemctl stop volume-daemon', back: 'systemctl start volume-daemon' },
  {
    away: 'systemctl kill -s STOP volume-daemon; systemctl is-active volume-daemon',
    back: 'systemctl kill -s CONT volume-daemon',
  },
  // Nor does udev: only the kernel has seen the disk leave, and ends the second name of its node.
  {
    away: 'udevadm control --stop-exec-queue; systemctl kill -s STOP volume-daemon',
    back: 'udevadm control --start-exec-queue; systemctl kill -s CONT volume-daemon',
  },
] as const;

export const stoppedDaemon: Scenario = {
  name: 'stopped-daemon',
  story:
    'while the daemon is stopped, then hangs, then udev too, a disk leaves and another one gets its letter: not served under the old name',
  machines: ['pc'],
  async run(world) {
    const [other = '', ...volumes] = await world.createMany(1 + 2 * ABSENCES.length);
    await world.attach(other);
    for (const [n, { away, back }] of ABSENCES.entries()) {
      const [gone = '', next = ''] = volumes.slice(2 * n);
      await leaveWhileAway(world, { away, back, gone, next, other });
    }
    return undefined;
  },
};

async function leaveWhileAway(
  world: World,
  { away, back, gone, next, other }: Record<'away' | 'back' | 'gone' | 'next' | 'other', string>,
): Promise<void> {
  const { agent, ports } = world.machine;
  const opens = (name: string) =>
    LiveClient.open(ports.nbd, name).then(
      (client) => client.close().then(() => true),
      () => false,
    );
  const nameOf = async (id: string) =>
    (await world.api.get<ExportReply>(`/api/v1/exports/${id}`)).export_name;
  await world.attach(gone);
  const [name, control] = [await nameOf(gone), await nameOf(other)];
  const { device_path: path } = await world.mapping(gone);
  await agent.run(away);
  await world.cloud.model.makePhantom(gone);
  await world.cloud.model.makeGhost(next);
  const serial = next.replaceAll('-', '').slice(0, 20);
  await world.until('the other disk has the letter', async () => {
    const shown = await agent.run(`cat /sys/block/${path.slice('/dev/'.length)}/serial || true`);
    return shown.includes(serial);
  });
  await world.until('the old name leads to nothing', async () => !(await opens(name)));
  check(await opens(control), 'the export of a disk that has stayed is closed');
  await agent.run(back);
  await world.ready();
  check(!(await opens(name)), 'the old name leads to a disk again');
  await world.verifyAll([other]);
}

export const liveResize: Scenario = {
  name: 'live-resize',
  story: 'a volume grows while it is attached: mapping and export have the new size, data stays',
  machines: ['pc'],
  async run(world) {
    const id = await world.create('growing');
    await world.attach(id);
    await world.verifyAll([id]);
    await world.cloud.model.growVolume(id, 2 * GIB);
    await world.until('the mapping has the new size', async () => {
      await world.sync();
      return (await world.mapping(id)).size === 2 * GIB;
    });
    await world.until('the export has the new size', async () => {
      const client = await world.connect(id);
      await client.close();
      return client.size === 2 * GIB;
    });
    await world.verify(id, { over: 'export' });
    await world.verifyAll([id]);
    return undefined;
  },
};

export const inUse: Scenario = {
  name: 'in-use',
  story:
    'detach while a client is connected, a process reads, a file system is mounted: refused, then forced; others free',
  machines: ['pc'],
  async run(world) {
    const ids = await world.createMany(3);
    const [connected = '', mounted = '', free = ''] = ids;
    await Promise.all(ids.map((id) => world.attach(id)));
    await world.verifyAll([connected]);

    const client = await world.connect(connected);
    await refused(connected);
    await client.read(0, 4096);
    const { device_path: read } = await world.mapping(free);
    await world.machine.agent.run(`systemd-run -q --unit=reader sh -c 'exec sleep infinity < ${read}'`);
    await refused(free);
    await world.machine.agent.run('systemctl stop reader');
    // A client of one export keeps nobody from another one's disk.
    await world.detach(free);
    await world.detach(connected, { force: true });
    await world.verify(connected);

    const { device_path: path } = await world.mapping(mounted);
    await world.machine.agent.run(
      `mkfs.ext4 -q ${path} && mount ${path} /mnt && echo kept > /mnt/file && sync`,
    );
    await refused(mounted);
    check(
      (await world.machine.agent.run('cat /mnt/file')) === 'kept',
      'the mounted file system was disturbed',
    );
    await world.detach(mounted, { force: true });
    check(world.guest.plugged().length === 0, 'a disk is still plugged');
    return undefined;

    async function refused(id: string): Promise<void> {
      const ended = await world.outcome(await world.requestDetach(id));
      const code = 'error_code' in ended ? ended.error_code : undefined;
      check(
        ended.status === 'failed' && code === 'DEVICE_IN_USE',
        `detach of a used disk ${ended.status} (${String(code)})`,
      );
      check(world.guest.plugged().includes(id), 'the disk was taken all the same');
      check(world.cloud.model.effectsOf(id, 'detach') === 0, 'CloudStack was asked all the same');
    }
  },
};
