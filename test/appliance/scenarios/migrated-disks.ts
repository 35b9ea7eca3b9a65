import { createHash } from 'node:crypto';
import { createReadStream, renameSync } from 'node:fs';
import type { DiskBus } from '~/lab/guest/qmp-guest';
import { check, type Scenario } from '../scenario';
import { PATTERN_BYTES, PATTERN_OFFSET, type World } from '../world';

const GIB = 1024 ** 3;
const READ_BYTES = 8 * 1024 ** 2;
/** What a disk of the appliance itself has as well. */
const GPT = '11111111-2222-4333-8444-555555555555';
const PARTITION = '66666666-7777-4888-9999-aaaaaaaaaaaa';
/** The volume group of the appliance, and that of a migrated machine. */
const GROUP = 'data';

interface Content {
  readonly name: string;
  /** Run in the guest with the disk as $1; leaves nothing active. */
  readonly make: string;
  /** The kernel still uses it when the disk is pulled out: what a machine leaves that lost its power. */
  readonly pulled?: true;
  /** Tools of the guest activate it when nobody stops them: shown first, else the test would show nothing. */
  readonly tempting?: string;
}

const CONTENTS: readonly Content[] = [
  {
    name: 'lvm',
    make: `pvcreate -qq -y -ff $1 && vgcreate -qq ${GROUP} $1 && lvcreate -qq -y -n migrated -L 64M ${GROUP} &&
      mkfs.ext4 -q /dev/${GROUP}/migrated && vgchange -qq -an ${GROUP}`,
    tempting: `vgchange -qq -an ${GROUP}`,
  },
  {
    name: 'md',
    make: `mdadm --create /dev/md0 --run --force --level=1 --raid-devices=1 --metadata=1.2 --size=128M $1 2>&1 &&
      mkfs.ext4 -q /dev/md0 && mdadm --stop /dev/md0 2>&1`,
    tempting: 'mdadm --stop --scan 2>&1',
  },
  {
    name: 'root label',
    make: 'mkfs.ext4 -q -L appliance -U "$(blkid -s UUID -o value "$(findmnt -no SOURCE /)")" $1 128M',
  },
  {
    name: 'dirty journal',
    make: `mkfs.ext4 -q -L dirty $1 128M && mount $1 /mnt && cp -r /etc /mnt/ && sync && touch /mnt/after && sync &&
      dumpe2fs -h $1 2>/dev/null | grep -q needs_recovery`,
    pulled: true,
  },
  { name: 'gpt', make: `sgdisk -n 1:0:+128M -u 1:${PARTITION} -U ${GPT} -c 1:${GROUP} $1 >/dev/null` },
  // The kernel numbers the first 15 with their disk, and all further ones under a major number of their own.
  {
    name: 'many partitions',
    make: `for n in $(seq 17); do sgdisk -n $n:0:+4M $1 >/dev/null || exit 1; done`,
  },
];

/** All that must not change because a disk of somebody else is there. */
const STATE = `udevadm settle
  dmsetup ls | sort; grep ^md /proc/mdstat; swapon --show --noheadings; findmnt -rn -o SOURCE,TARGET | grep ^/dev/ | sort
  cd /dev/disk && for kind in by-uuid by-label by-partuuid by-partlabel; do
    [ ! -d $kind ] || find $kind -type l -printf '%p %l\\n' | sort; done`;

function scenario(name: string, bus: DiskBus): Scenario {
  return {
    name,
    story: `LVM of our own name, md, our root's label, a dirty journal, a repeated GPT, 17 partitions on ${bus}: served, never touched`,
    machines: ['pc', 'q35'],
    async run(world) {
      const { agent } = world.machine;
      const own = await world.create('own');
      const ids = await world.createMany(CONTENTS.length);
      await agent.run('systemctl stop volume-daemon');
      for (const [n, content] of CONTENTS.entries()) await make(world, content, ids[n] ?? '');
      await ownGroup(world, own);
      world.guest.bus = bus;
      await agent.run('systemctl start volume-daemon');
      await world.ready();

      const table: string[] = [];
      const before = await agent.run(STATE);
      check(before.includes(`${GROUP}-own`), `the appliance's own volume group is not active:\n${before}`);
      for (const [n, { name: content }] of CONTENTS.entries())
        table.push(`${content} ${await serve(world, ids[n] ?? '', content, before)}`);
      return table.join(', ');
    },
  };
}

export const migratedDisks = scenario('migrated-disks', 'virtio');
export const migratedDisksOnScsi = scenario('migrated-disks-scsi', 'virtio-scsi');

/** Attached, exported, read, written, detached; the file has changed nowhere else. */
async function serve(world: World, id: string, content: string, before: string): Promise<string> {
  const { agent } = world.machine;
  const file = world.guest.backingFile(id);
  const digest = await digestOutsidePattern(file);
  const begun = performance.now();
  await world.attach(id);
  const client = await world.connect(id);
  for (let at = 0; at < READ_BYTES; at += READ_BYTES / 8) await client.read(at, READ_BYTES / 8);
  await client.close();
  await world.write(id);
  same(before, await agent.run(STATE), `${content}: while it is attached`);
  const { device_path: path } = await world.mapping(id);
  const users = await agent.run(`ls /sys/block/${path.slice('/dev/'.length)}/holders`);
  check(users === '', `${content}: ${path} is used by ${users}`);
  const watched = await agent.run(
    `ls /run/udev/watch | grep -x "b$(cat /sys/block/${path.slice('/dev/'.length)}/dev)" || true`,
  );
  check(watched === '', `${content}: udev acts whenever somebody has written to ${path}`);
  const { message } = (await world.api.get<Health>('/api/v1/health')).checks?.device_monitor ?? {
    message: '',
  };
  check(!message.includes('hands off migrated disks: no'), `${content}: ${message}`);
  await world.detach(id);
  await world.verify(id);
  same(before, await agent.run(STATE), `${content}: after it was detached`);
  check(
    (await digestOutsidePattern(file)) === digest,
    `${content}: the disk has changed where nobody wrote over NBD`,
  );
  return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
}

interface Health {
  readonly checks?: Readonly<Record<string, { readonly message: string }>>;
}

function same(before: string, after: string, when: string): void {
  check(before === after, `${when} this system has touched it.\nbefore:\n${before}\nafter:\n${after}`);
}

/**
 * Made in the guest on a disk without a serial, which no rule of ours knows, then moved to the volume's file.
 */
async function make(
  world: World,
  { name, make: script, pulled, tempting }: Content,
  id: string,
): Promise<void> {
  const { agent } = world.machine;
  const scratch = { volumeId: `5c7a7c40-0000-4000-8000-${id.slice(-12)}`, size: GIB, serial: '' };
  const path = await plugged(world, scratch);
  const idle = await agent.run('dmsetup ls; grep ^md /proc/mdstat || true');
  await agent.run(`udevadm settle; set -- ${path}; ${script}; status=$?; udevadm settle; exit $status`);
  await world.guest.unplug(scratch.volumeId);
  if (pulled) await agent.run('umount -l /mnt');
  if (tempting) {
    await plugged(world, scratch);
    await world.until(`a disk with ${name} is activated where no rule forbids it`, async () => {
      return (await agent.run('udevadm settle; dmsetup ls; grep ^md /proc/mdstat || true')) !== idle;
    });
    await agent.run(`${tempting}; udevadm settle`);
    await world.guest.unplug(scratch.volumeId);
  }
  renameSync(world.guest.backingFile(scratch.volumeId), world.guest.backingFile(id));
}

/**
 * A disk of the appliance itself: listed as its own, a volume group on its GPT, attached by hand and in use.
 */
async function ownGroup(world: World, id: string): Promise<void> {
  const { agent } = world.machine;
  const serial = id.replaceAll('-', '').slice(0, 20);
  await agent.run(`echo 'serial ${serial}' >> /etc/volume-daemon/own-disks`);
  const path = await plugged(world, { volumeId: id, size: GIB, serial });
  await agent.run(`udevadm settle; sgdisk -n 1:0:+256M -t 1:8e00 -u 1:${PARTITION} -U ${GPT} -c 1:${GROUP} ${path} >/dev/null
    udevadm settle; p=${path}1; pvcreate -qq -y -ff $p && vgcreate -qq ${GROUP} $p && lvcreate -qq -y -n own -L 64M ${GROUP} &&
    mkfs.ext4 -q /dev/${GROUP}/own && mkdir -p /srv/own && mount /dev/${GROUP}/own /srv/own; status=$?; udevadm settle; exit $status`);
}

/** Where the guest shows it. */
async function plugged(world: World, disk: Parameters<World['guest']['plug']>[0]): Promise<string> {
  const { agent } = world.machine;
  const list = async () =>
    (await agent.run('ls /sys/block')).split('\n').filter((name) => /^[sv]d/.test(name));
  const before = await list();
  await world.guest.plug(disk);
  let name: string | undefined;
  await world.until('the guest shows the new disk', async () => {
    name = (await list()).find((one) => !before.includes(one));
    return name !== undefined;
  });
  return `/dev/${name}`;
}

/** All bytes but those that `World.write` writes. */
async function digestOutsidePattern(file: string): Promise<string> {
  const digest = createHash('sha1');
  for (const range of [{ end: PATTERN_OFFSET - 1 }, { start: PATTERN_OFFSET + PATTERN_BYTES }])
    for await (const chunk of createReadStream(file, { ...range, highWaterMark: 4 * 1024 ** 2 }))
      digest.update(chunk);
  return digest.digest('hex');
}
