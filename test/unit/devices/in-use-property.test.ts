import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '~/server/core/clock';
import { noTracing } from '~/server/core/tracing';
import type { Device, Holder } from '~/server/devices/device';
import { findHolders } from '~/server/devices/sysfs/holders';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { guardPublishing } from '~/server/exports/publishing-guard';
import { exportName } from '~/server/model/export-name';
import { plan } from '~/server/sync/plan';
import { APPLIANCE, device, GIB, guest, healthy, mapping, volume } from '../sync/observations';
import { GuestTree } from './guest-tree';

const WORLDS = Number(process.env.IN_USE_WORLDS ?? 5_000);
const TREES = Math.max(200, Math.round(WORLDS / 50));
/** What a user that goes away in time may be: see LIMITS.HOLDER_PASSES_MS. */
const PATIENCE_MS = 5_000;

const letters = ['b', 'c', 'd', 'e'];
const volumeIdOf = (letter: string) => `${letter.repeat(8)}-1111-4111-8111-${letter.repeat(12)}`;

interface User {
  readonly holder: Holder;
  /** ms until it is gone; null: it stays. */
  readonly leavesAfterMs: number | null;
}

const user: fc.Arbitrary<User> = fc.record({
  holder: fc.constantFrom<Holder>(
    { kind: 'open', detail: 'pid 9 ((udev-worker))' },
    { kind: 'open', detail: 'pid 8 (md5sum)', readOnly: true },
    { kind: 'claimed', detail: 'an exclusive open fails' },
    { kind: 'mount', detail: '/data' },
    { kind: 'mount', detail: '/data in the mount namespace of pid 7 (container)' },
    { kind: 'swap', detail: '/dev/vdb2' },
    { kind: 'holder', detail: 'dm-0 (vg-data)' },
    { kind: 'configured', detail: 'fstab' },
    { kind: 'own', detail: 'line 1' },
    { kind: 'unknown', detail: '/proc/1/fd' },
    { kind: 'nbd-client', detail: 'pid 5 (nbd-server)' },
    { kind: 'nbd-client', detail: '10.0.0.9' },
  ),
  leavesAfterMs: fc.option(fc.integer({ min: 0, max: 8_000 }), { nil: null }),
});
/** Buses that carry a serial cut or whole, or none, and one on which no volume is looked for. */
const PREFIXES = { virtio: 'vd', 'virtio-scsi': 'sd', xen: 'xvd', sata: 'sd' } as const;
const world = fc.array(
  fc.record({
    users: fc.array(user, { maxLength: 3 }),
    bus: fc.constantFrom('virtio', 'virtio', 'virtio-scsi', 'xen', 'sata'),
    /** Bytes by which the volume is larger in CloudStack than its disk here: resized there, or shrunk. */
    volumeMore: fc.constantFrom(0, 0, 0, 0, 512, GIB, -GIB, -4 * GIB),
    /** Bytes by which the disk has grown since it was mapped; null: it is not mapped. */
    grown: fc.constantFrom(null, 0, GIB),
  }),
  { minLength: 1, maxLength: letters.length },
);

interface Drawn {
  readonly id: string;
  readonly users: readonly User[];
  readonly disk: Device;
  readonly isForeign: boolean;
  readonly volumeMore: number;
  readonly grown: number | null;
}

/** Virtual time: a sleep is over at once. */
function virtualClock(): Clock {
  let at = 0;
  return {
    now: () => at,
    monotonic: () => at,
    sleep: async (ms) => {
      at += ms;
    },
  };
}

/** Said once more, from the story alone: until when somebody other than an NBD client is there. */
function isFree(users: readonly User[]): boolean {
  const others = users.filter(({ holder }) => holder.kind !== 'nbd-client');
  const leaves = ({ leavesAfterMs }: User) => leavesAfterMs ?? Number.POSITIVE_INFINITY;
  const impatient = others.filter(({ holder }) => !['open', 'claimed', 'unknown'].includes(holder.kind));
  if (impatient.some((one) => leaves(one) > 0)) {
    // Whoever stays in one of these ways is not waited for; he may be gone while others are.
    const waited = Math.max(0, ...others.filter((one) => !impatient.includes(one)).map(leaves));
    return waited <= PATIENCE_MS && impatient.every((one) => leaves(one) === 0);
  }
  return others.every((one) => leaves(one) <= PATIENCE_MS - 200);
}

const isBorderline = (users: readonly User[]) =>
  users.some(({ leavesAfterMs: ms }) => ms !== null && ms > PATIENCE_MS - 200 && ms <= PATIENCE_MS);

const seen = {
  worlds: 0,
  disks: 0,
  used: 0,
  otherSize: 0,
  exportedInUse: 0,
  exportedWrongSize: 0,
  needless: 0,
};

describe(`${WORLDS} random worlds of users`, () => {
  it('no disk in use is exported at any door, and no free one is refused', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (drawn) => {
        const disks = drawn.map(({ bus, grown, ...rest }, index): Drawn => {
          const letter = letters[index] ?? 'z';
          const id = volumeIdOf(letter);
          const whole = id.replaceAll('-', '');
          const serial = bus === 'xen' ? null : bus === 'virtio' ? whole.slice(0, 20) : whole;
          const disk = device({
            name: `${PREFIXES[bus]}${letter}`,
            serial,
            serialState: serial === null ? 'absent' : 'read',
            diskseq: index + 2,
            ...(bus === 'sata' ? {} : { bus }),
          });
          // Without a serial only a mapping says whose disk it is.
          return {
            ...rest,
            id,
            disk,
            isForeign: bus === 'sata',
            grown: bus === 'xen' ? (grown ?? 0) : grown,
          };
        });
        seen.worlds += 1;
        const look = guest(disks.filter(({ isForeign }) => !isForeign).map(({ disk }) => disk));
        for (const { id, users, disk, isForeign } of disks) {
          if (isForeign || isBorderline(users)) continue;
          const clock = virtualClock();
          const present = () =>
            users
              .filter(({ leavesAfterMs: ms }) => ms === null || ms > clock.monotonic())
              .map((one) => one.holder);
          const published: ExportTarget[] = [];
          const server = guardPublishing(
            {
              publish: async (target: ExportTarget) => void published.push(target),
            } as unknown as ExportServer,
            {
              clock,
              tracing: noTracing,
              tenure: () => () => true,
              isTaken: () => false,
              watcher: { scan: async () => look },
              guest: { holders: async () => new Map([[disk.path, present()]]) },
            },
          );
          const { path: devicePath, size, dev, diskseq } = disk;
          const target = { name: exportName(id), volumeId: id, devicePath, size, dev, diskseq };
          const refused = await server.publish(target).then(
            () => null,
            (error: { code: string }) => error.code,
          );
          seen.disks += 1;
          // Whatever the story was: nobody may be there at the moment of the export.
          const inUse = present().some(({ kind }) => kind !== 'nbd-client');
          if (inUse) seen.used += 1;
          if (published.length > 0 && inUse) seen.exportedInUse += 1;
          if (published.length === 0 && isFree(users)) seen.needless += 1;
          expect(refused).toBe(published.length > 0 ? null : 'DEVICE_IN_USE');
        }
        checkSync(disks);
      }),
      { numRuns: WORLDS },
    );
    console.log(
      `in use: ${seen.worlds} worlds, ${seen.disks} disks of which ${seen.used} in use: ` +
        `${seen.exportedInUse} exported in use, ${seen.needless} needless refusals; ` +
        `${seen.otherSize} of another size than their volume, ${seen.exportedWrongSize} too small or large exported`,
    );
    expect([seen.exportedInUse, seen.needless]).toEqual([0, 0]);
  }, 600_000);

  /**
   * Volumes attached by hand, or mapped before: what sync would map and export, with the users as they stay.
   */
  function checkSync(disks: readonly Drawn[]): void {
    const here = disks.filter(({ isForeign }) => !isForeign);
    const repairs = plan(
      healthy({
        guest: guest(here.map(({ disk }) => disk)),
        volumes: disks.map(({ id, disk, volumeMore }) =>
          volume({ id, vmId: APPLIANCE, size: disk.size + volumeMore }),
        ),
        users: new Map(here.map(({ disk, users }) => [disk.path, users.map(({ holder }) => holder)])),
        mappings: here.flatMap((one) => (one.grown === null ? [] : [mappingOf(one, one.grown)])),
        exports: [],
        configured: [],
      }),
    );
    for (const { id, users, isForeign, volumeMore, grown } of disks) {
      const steps = repairs.filter(({ drift }) => drift.volumeId === id).flatMap((one) => one.steps);
      const used = users.some(({ holder }) => holder.kind !== 'nbd-client');
      const fits = volumeMore === 0 || volumeMore === -GIB;
      const served = grown === 0 ? ['publish'] : ['rows', 'publish'];
      const expected = used || !fits || isForeign ? [] : served;
      if (volumeMore !== 0) seen.otherSize += 1;
      if (steps.some(({ kind }) => kind === 'publish') && !fits) seen.exportedWrongSize += 1;
      expect(steps.map(({ kind }) => kind)).toEqual(expected);
    }
  }

  function mappingOf({ id, disk }: Drawn, grown: number) {
    const { path: devicePath, serial, diskseq, size } = disk;
    const matchedBy = serial === null ? ('size' as const) : ('serial' as const);
    return mapping({ volumeId: id, devicePath, serial, diskseq, matchedBy, size: size - grown });
  }
});

describe(`${TREES} random trees of /proc, /sys and /etc`, () => {
  const place = fc.record({
    disk: fc.nat(3),
    part: fc.boolean(),
    how: fc.constantFrom(
      'mount',
      'namespace',
      'swap',
      'holder',
      'open',
      'loop',
      'btrfs',
      'fstab',
      'own',
      'crypttab',
    ),
  });

  it('each disk has users when the tree gives it some, and none otherwise', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(place, { maxLength: 5 }), async (places) => {
        const tree = new GuestTree();
        try {
          const expected = new Set(places.map((one) => populate(tree, one, places.indexOf(one))));
          const devices = letters.map((letter, index) =>
            device({
              name: `vd${letter}`,
              path: join(tree.devDir, `vd${letter}`),
              dev: `253:${16 * (index + 1)}`,
              serial: `serial-of-disk-${letter}`,
              diskseq: 7,
            }),
          );
          for (const { name, dev } of devices) plug(tree, name, dev ?? '');
          tree.write('etc/fstab', fstab.join('\n'));
          const users = await findHolders({ ...tree, ignoredPids: new Set() }, devices);
          const used = devices.filter(({ path }) => users.get(path)?.length !== 0).map(({ name }) => name);
          expect(used).toEqual([...expected].sort());
        } finally {
          fstab.length = 0;
          tree.remove();
        }
      }),
      { numRuns: TREES },
    );
  }, 600_000);

  const fstab: string[] = [];

  function plug(tree: GuestTree, name: string, dev: string): void {
    const [major, minor] = dev.split(':').map(Number);
    for (const [path, text] of [
      [`sys/${name}/dev`, dev],
      [`sys/${name}/diskseq`, '7'],
      [`sys/${name}/${name}1/dev`, `${major}:${(minor ?? 0) + 1}`],
      [`dev/${name}`, ''],
      [`dev/${name}1`, ''],
    ] as const)
      tree.write(path, `${text}\n`);
  }

  /** Returns the name of the disk that is used now. */
  function populate(
    tree: GuestTree,
    { disk, part, how }: { disk: number; part: boolean; how: string },
    index: number,
  ): string {
    const name = `vd${letters[disk] ?? 'b'}`;
    const node = part ? `${name}1` : name;
    const number = `253:${16 * (disk + 1) + (part ? 1 : 0)}`;
    const path = join(tree.devDir, node);
    const pid = 100 + index;
    const mountinfo = `36 35 ${number} / /mnt/${index} rw - ext4 /dev/x rw\n`;
    switch (how) {
      case 'mount':
      case 'namespace':
        tree.write(`proc/${pid}/comm`, 'sh\n');
        tree.write(`proc/${pid}/mountinfo`, mountinfo);
        tree.write(`namespaces/${index}`, '');
        tree.link(`proc/${pid}/ns/mnt`, join(tree.root, `namespaces/${index}`));
        break;
      case 'swap':
        tree.write('proc/swaps', `Filename\n${places(tree, 'swaps', `${path} partition 1 0 -2`)}`);
        break;
      case 'holder':
        tree.write(`sys/${name}/${part ? `${node}/` : ''}holders/dm-${index}/dm/name`, 'vg-x\n');
        break;
      case 'open':
        tree.write(`dev/${node}`, '\n');
        tree.write(`proc/${pid}/comm`, 'dd\n');
        tree.link(`proc/${pid}/fd/3`, path);
        break;
      case 'loop':
        tree.write(`sys/loop${index}/loop/backing_file`, `${path}\n`);
        break;
      case 'btrfs':
        tree.write(`fs/btrfs/${index}/devices/${node}`, '');
        break;
      case 'fstab':
        fstab.push(`/dev/${node} /data/${index} ext4 noauto 0 0`);
        break;
      case 'crypttab':
        tree.write('etc/crypttab', places(tree, 'crypttab', `x${index} /dev/${node} none luks`));
        break;
      default:
        tree.write(
          'etc/volume-daemon/own-disks',
          places(tree, 'own', `serial serial-of-disk-${letters[disk]}`),
        );
    }
    return name;
  }

  const lines = new WeakMap<GuestTree, Map<string, string[]>>();

  /** All lines of one table of this tree so far. */
  function places(tree: GuestTree, table: string, line: string): string {
    const tables = lines.get(tree) ?? new Map<string, string[]>();
    lines.set(tree, tables);
    const all = [...(tables.get(table) ?? []), line];
    tables.set(table, all);
    return `${all.join('\n')}\n`;
  }
});
