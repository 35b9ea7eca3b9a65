import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { isOwnSerial, parseIdentity, parseOwnDisks } from '~/server/devices/own-disks';
import { findHolders } from '~/server/devices/sysfs/holders';
import { GuestTree } from './guest-tree';
import { disk, VOLUME } from './worlds';

describe('the list of own disks', () => {
  it('names serials, volume ids and stable links, with comments', () => {
    const text = `# ours\n\nserial ABC123 # database\n  /dev/disk/by-path/pci-0000:00:07.0\n/dev/disk/by-id/virtio-x\r\n`;
    expect(parseOwnDisks(text)).toEqual({
      disks: [
        { by: 'serial', value: 'ABC123', line: 3 },
        { by: 'link', value: '/dev/disk/by-path/pci-0000:00:07.0', line: 4 },
        { by: 'link', value: '/dev/disk/by-id/virtio-x', line: 5 },
      ],
      problems: [],
    });
  });

  it('may have been written on Windows: comments end with the line, too', () => {
    const text = '\ufeff# ours\r\nserial ABC123 # database\r\n/dev/disk/by-id/virtio-x#y\r\n#\r\n';
    expect(parseOwnDisks(text)).toEqual({
      disks: [
        { by: 'serial', value: 'ABC123', line: 2 },
        { by: 'link', value: '/dev/disk/by-id/virtio-x#y', line: 3 },
      ],
      problems: [],
    });
  });

  it.each([
    '/dev/vdb',
    'vdb',
    '/dev/disk/by-uuid/1234',
    '/dev/disk/by-label/root',
    '/dev/disk/by-path/../../vda',
    '/dev/disk/by-id/',
    'serial',
    'serial a b',
    '/dev/disk/by-id/virtio-x /dev/vdb',
    `serial ${'x'.repeat(500)}`,
    'serial \u0000\u0007',
    '\u001b[31mserial x',
    'rm -rf /',
    '/etc/passwd',
  ])('a line that says nothing stable is named and never fatal: %j', (line) => {
    const { disks, problems } = parseOwnDisks(`serial good\n${line}\n`);
    expect(disks).toHaveLength(1);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^line 2: /);
    expect(problems[0]).not.toMatch(/[\u0000-\u001f]/);
  });

  it('is bounded, and says so', () => {
    const lines = (count: number, line: string) => parseOwnDisks(`${line}\n`.repeat(count));
    const most = lines(LIMITS.OWN_DISKS, 'serial a');
    expect([most.disks.length, most.problems]).toEqual([LIMITS.OWN_DISKS, []]);
    const more = lines(5000, 'serial a');
    expect([more.disks.length, more.problems]).toEqual([
      LIMITS.OWN_DISKS,
      [`line ${LIMITS.OWN_DISKS + 1}: only ${LIMITS.OWN_DISKS} disks can be listed`],
    ]);
    expect(lines(5000, 'nonsense').problems).toHaveLength(LIMITS.OWN_DISKS);
  });

  it('a serial is compared without case and padding; the id of a volume names its serial', () => {
    expect(isOwnSerial('ABC123', ' abc123 ')).toBe(true);
    expect(isOwnSerial(VOLUME, disk().serial)).toBe(true);
    expect(isOwnSerial('abc', 'abcd')).toBe(false);
    expect(isOwnSerial('abc', null)).toBe(false);
  });

  it('an argument is read as a line is', () => {
    expect(parseIdentity('serial x')).toEqual({ by: 'serial', value: 'x' });
    expect(parseIdentity('/dev/vdb')).toContain('names another disk after a reboot');
  });
});

describe('a disk on the list', () => {
  let tree: GuestTree;
  beforeEach(() => {
    tree = new GuestTree();
    tree.plug('vdb');
  });
  afterEach(() => tree.remove());

  async function users() {
    const device = disk({ path: join(tree.devDir, 'vdb') });
    const found = await findHolders({ ...tree, ignoredPids: new Set() }, [device]);
    return found.get(device.path) ?? [];
  }
  const write = (text: string) => tree.write('etc/volume-daemon/own-disks', text);

  it('is in use by its serial', async () => {
    write(`# x\nserial ${disk().serial}\n`);
    expect(await users()).toEqual([
      { kind: 'own', detail: `line 2 of the list of own disks: serial ${disk().serial}` },
    ]);
  });

  it('is in use by a link to its node', async () => {
    write('/dev/disk/by-path/pci-0000:00:07.0\n');
    expect(await users()).toEqual([]);
    tree.link('dev/disk/by-path/pci-0000:00:07.0', '../../vdb');
    expect(await users()).toMatchObject([{ kind: 'own' }]);
  });

  it('is in use by a link to one of its partitions', async () => {
    tree.write('sys/vdb/vdb1/dev', '253:17\n');
    tree.write('dev/vdb1', '');
    tree.link('dev/disk/by-path/pci-0000:00:07.0-part1', '../../vdb1');
    write('/dev/disk/by-path/pci-0000:00:07.0-part1\n');
    expect(await users()).toMatchObject([{ kind: 'own' }]);
  });

  it.each(['', '-part2'])('is in use by a link with its serial that nobody made%s', async (part) => {
    write(`/dev/disk/by-id/virtio-${disk().serial}${part}\n`);
    expect(await users()).toMatchObject([{ kind: 'own' }]);
    write(`/dev/disk/by-id/virtio-${disk().serial}0\n`);
    expect(await users()).toEqual([]);
  });

  it('may be any disk when the list cannot be read', async () => {
    mkdirSync(join(tree.etcDir, 'volume-daemon/own-disks'), { recursive: true });
    expect(await users()).toMatchObject([{ kind: 'unknown', detail: expect.stringContaining('own disks') }]);
  });

  it('may be any disk when the list is longer than is read', async () => {
    write('# '.repeat(100_000));
    expect(await users()).toMatchObject([{ kind: 'unknown' }]);
  });
});
