import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '~/server/core/clock';
import type { Device, Holder } from '~/server/devices/device';
import { findHolders } from '~/server/devices/sysfs/holders';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/exports/naming';
import { guardPublishing } from '~/server/exports/publishing-guard';
import { plan } from '~/server/sync/plan';
import { APPLIANCE, device, guest, healthy, volume } from '../sync/observations';
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
const world = fc.array(fc.array(user, { maxLength: 3 }), { minLength: 1, maxLength: letters.length });

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

const seen = { worlds: 0, disks: 0, used: 0, exportedInUse: 0, needless: 0 };

describe(`${WORLDS} random worlds of users`, () => {
  it('no disk in use is exported at any door, and no free one is refused', async () => {
    await fc.assert(
      fc.asyncProperty(world, async (drawn) => {
        const disks = drawn.map((users, index) => {
          const letter = letters[index] ?? 'z';
          const id = volumeIdOf(letter);
          const serial = id.replaceAll('-', '').slice(0, 20);
          return { id, users, disk: device({ name: `vd${letter}`, serial, diskseq: index + 2 }) };
        });
        seen.worlds += 1;
        const look = guest(disks.map(({ disk }) => disk));
        for (const { id, users, disk } of disks) {
          if (isBorderline(users)) continue;
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
        `${seen.exportedInUse} exported in use, ${seen.needless} needless refusals`,
    );
    expect([seen.exportedInUse, seen.needless]).toEqual([0, 0]);
  }, 600_000);

  /** Volumes attached by hand, without rows: what sync would map and export, with the users as they stay. */
  function checkSync(disks: readonly { id: string; users: readonly User[]; disk: Device }[]): void {
    const repairs = plan(
      healthy({
        guest: guest(disks.map(({ disk }) => disk)),
        volumes: disks.map(({ id }) => volume({ id, vmId: APPLIANCE })),
        users: new Map(disks.map(({ disk, users }) => [disk.path, users.map(({ holder }) => holder)])),
        mappings: [],
        exports: [],
        configured: [],
      }),
    );
    for (const { id, users } of disks) {
      const steps = repairs.filter(({ drift }) => drift.volumeId === id).flatMap((one) => one.steps);
      const used = users.some(({ holder }) => holder.kind !== 'nbd-client');
      expect(steps.map(({ kind }) => kind)).toEqual(used ? [] : ['rows', 'publish']);
    }
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
