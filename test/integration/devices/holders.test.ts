import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClientState, Device, Holder } from '~/server/devices/device';
import { findHolders } from '~/server/devices/sysfs/holders';
import { processIdentity } from '~/server/devices/sysfs/kernel-files';

/**
 * The in-use guard on this machine's real kernel: a loop device stands for the virtio disk, everything else
 * is real. Needs root and loop devices; what cannot run says so.
 */
const MIB = 1024 * 1024;

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

function whyNot(...tools: string[]): string | null {
  if (process.getuid?.() !== 0) return 'not root';
  for (const tool of tools) {
    try {
      run('sh', '-c', `command -v ${tool}`);
    } catch {
      return `${tool} is not installed`;
    }
  }
  try {
    run('losetup', '--find');
    return null;
  } catch (error) {
    return `no free loop device (${error instanceof Error ? error.message.split('\n')[0] : String(error)})`;
  }
}

/** Does the kernel have what the tool drives? Asked by a command that only looks. */
function withoutDriver(probe: readonly string[]): string | null {
  const [command, ...args] = probe;
  if (command === undefined) return null;
  try {
    run(command, ...args);
    return null;
  } catch {
    return `the kernel has no driver for it ("${probe.join(' ')}" fails)`;
  }
}

/** Runs where the machine allows it, and says loudly where it does not. */
function itOrSay(
  name: string,
  tools: string[],
  test: () => Promise<void>,
  probe: readonly string[] = [],
): void {
  const reason = whyNot('losetup', ...tools) ?? withoutDriver(probe);
  if (reason !== null) console.warn(`NOT RUN: "${name}": ${reason}`);
  it.skipIf(reason !== null)(name, test);
}

/**
 * io_uring_setup, then io_uring_register with the disk, which is closed; fails where the
 * kernel has no io_uring.
 */
const RING = `
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
disk = os.open(sys.argv[1], os.O_RDWR)
ring = libc.syscall(425, 8, ctypes.create_string_buffer(120))
files = (ctypes.c_int * 2)(-1, disk)
if ring < 0 or libc.syscall(427, ring, 2, files, 2) < 0: sys.exit(1)
os.close(disk)`;

let dir: string;
/** Processes that serve clients of our exports. */
let ours: ReadonlyMap<string, ClientState> = new Map();
let loop: string;
let device: Device;
const undo: (() => void)[] = [];

function attach(name: string, size = 64 * MIB): string {
  const image = join(dir, name);
  const file = openSync(image, 'w');
  ftruncateSync(file, size);
  closeSync(file);
  const made = run('losetup', '--find', '--show', image);
  return made;
}

/** A disk with one partition, which the kernel is told of: not every kernel can read partition tables. */
function attachPartitioned(name: string): string {
  const whole = attach(name);
  run('addpart', whole, '1', '2048', String((64 * MIB) / 512 - 2048));
  const partition = `${whole}p1`;
  if (!existsSync(partition)) {
    const dev = readFileSync(`/sys/block/${basename(whole)}/${basename(partition)}/dev`, 'utf8').trim();
    run('mknod', partition, 'b', ...dev.split(':'));
    undo.push(() => rmSync(partition));
  }
  undo.push(() => {
    run('delpart', whole, '1');
    run('losetup', '--detach', whole);
  });
  return whole;
}

async function holders(of = device): Promise<Holder[]> {
  const sources = {
    sysBlockDir: '/sys/block',
    devDir: '/dev',
    procDir: '/proc',
    etcDir: '/etc',
    ignoredPids: new Set([process.pid]),
    exportClients: async () => ours,
  };
  // What the sandbox of a test machine hides from its root is not what is tested here.
  const found = (await findHolders(sources, [of])).get(of.path) ?? [];
  return found.filter(({ kind }) => kind !== 'unknown');
}

/**
 * Looks until the answer is as expected: processes and the kernel take their time. The test's own timeout is
 * the bound.
 */
async function holdersWhen(expected: (found: Holder[]) => boolean, of = device): Promise<Holder[]> {
  for (;;) {
    const found = await holders(of);
    if (expected(found)) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('the in-use guard on a real disk', () => {
  const able = whyNot('losetup') === null;

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'holders-'));
    if (!able) return;
    loop = attach('disk.raw');
    const dev = readFileSync(`/sys/block/${basename(loop)}/dev`, 'utf8').trim();
    device = {
      name: basename(loop),
      path: loop,
      size: 64 * MIB,
      serial: null,
      serialState: 'absent',
      diskseq: null,
      dev,
      controller: null,
    };
  });

  // Killed processes and their mount namespaces go when the kernel gets to it.
  beforeEach(async () => {
    if (able) await holdersWhen((found) => found.length === 0);
  });

  afterEach(() => {
    for (const step of undo.splice(0).reverse()) step();
  });

  afterAll(() => {
    if (able) run('losetup', '--detach', loop);
    rmSync(dir, { recursive: true, force: true });
  });

  itOrSay('a disk that nobody uses is free', [], async () => {
    expect(await holdersWhen((found) => found.length === 0)).toEqual([]);
  });

  itOrSay(
    'a mounted file system is named with its mount point',
    ['mkfs.ext4', 'mount', 'umount'],
    async () => {
      const target = join(dir, 'a mount point');
      mkdirSync(target);
      run('mkfs.ext4', '-q', '-F', loop);
      run('mount', loop, target);
      undo.push(() => run('umount', target));
      expect(await holders()).toContainEqual({ kind: 'mount', detail: `${loop} on ${target} (ext4)` });
    },
  );

  itOrSay('a mount that only another mount namespace has is found', ['mkfs.ext4', 'unshare'], async () => {
    const target = join(dir, 'elsewhere');
    mkdirSync(target);
    run('mkfs.ext4', '-q', '-F', loop);
    const script = `mount ${loop} ${target} && echo mounted && exec sleep 600`;
    const child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script]);
    undo.push(() => child.kill('SIGKILL'));
    await firstOutput(child);
    const found = await holdersWhen((now) => now.some(({ kind }) => kind === 'mount'));
    expect(found).toContainEqual({
      kind: 'mount',
      detail: expect.stringMatching(/elsewhere \(ext4\) in the mount namespace of pid \d+/),
    });
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(target);
  });

  itOrSay('swap is found', ['mkswap', 'swapon', 'swapoff'], async () => {
    run('mkswap', loop);
    run('swapon', loop);
    undo.push(() => run('swapoff', loop));
    expect(await holders()).toContainEqual({ kind: 'swap', detail: loop });
  });

  itOrSay('a loop device on top of the disk is found', [], async () => {
    const above = run('losetup', '--find', '--show', loop);
    undo.push(() => run('losetup', '--detach', above));
    expect(await holders()).toContainEqual({
      kind: 'holder',
      detail: `${basename(above)} on ${basename(loop)}`,
    });
  });

  itOrSay('a loop device on a node of the disk outside /dev is found', ['mknod'], async () => {
    const [major = '', minor = ''] = (device.dev ?? '').split(':');
    const node = join(dir, 'second-node');
    run('mknod', node, 'b', major, minor);
    const above = run('losetup', '--find', '--show', node);
    undo.push(() => run('losetup', '--detach', above));
    expect(await holders()).toContainEqual({ kind: 'holder', detail: `${basename(above)} on ${node}` });
  });

  itOrSay('who only reads does not hide that somebody has claimed the disk', ['sleep'], async () => {
    const file = openSync(loop, constants.O_RDONLY | constants.O_EXCL);
    const child = spawn('sleep', ['600'], { stdio: ['ignore', 'ignore', 'ignore', file] });
    closeSync(file);
    undo.push(() => child.kill('SIGKILL'));
    const found = await holdersWhen((now) => now.some(({ detail }) => detail.includes('sleep')));
    expect(found).toMatchObject([{ kind: 'open', readOnly: true }, { kind: 'claimed' }]);
  });

  itOrSay(
    'a process whose first thread has ended is found by another of its threads',
    ['python3'],
    async () => {
      const script =
        'import ctypes, os, sys, threading, time\nos.open(sys.argv[1], os.O_RDWR)\n' +
        'threading.Thread(target=time.sleep, args=(600,)).start()\nctypes.CDLL(None).pthread_exit(None)';
      const child = spawn('python3', ['-c', script, loop]);
      undo.push(() => child.kill('SIGKILL'));
      const found = await holdersWhen((now) => now.some(({ detail }) => detail.includes('task')));
      expect(found).toContainEqual({
        kind: 'open',
        detail: expect.stringMatching(new RegExp(`^pid ${child.pid}/task/\\d+ \\(python3\\)$`)),
      });
    },
  );

  itOrSay('a process that has the disk in its memory, and closed it, is found', ['python3'], async () => {
    const script =
      'import mmap, os, sys, time\ndisk = os.open(sys.argv[1], os.O_RDWR)\n' +
      'kept = mmap.mmap(disk, 4096)\nos.close(disk)\nos.closerange(3, 64)\nprint("ready", flush=True)\ntime.sleep(600)';
    const child = spawn('python3', ['-c', script, loop]);
    undo.push(() => child.kill('SIGKILL'));
    await firstOutput(child);
    const found = await holdersWhen((now) => now.length > 0);
    expect(found).toEqual([{ kind: 'open', detail: `pid ${child.pid} (python3), mapped into memory` }]);
  });

  itOrSay('so is one that did so by another name of the same node', ['python3'], async () => {
    const second = `/dev/holders-test-${process.pid}`;
    linkSync(loop, second);
    undo.push(() => rmSync(second, { force: true }));
    const script =
      'import mmap, os, sys, time\ndisk = os.open(sys.argv[1], os.O_RDWR)\n' +
      'kept = mmap.mmap(disk, 4096)\nos.close(disk)\nos.closerange(3, 64)\nprint("ready", flush=True)\ntime.sleep(600)';
    const child = spawn('python3', ['-c', script, second]);
    undo.push(() => child.kill('SIGKILL'));
    await firstOutput(child);
    const found = await holdersWhen((now) => now.length > 0);
    expect(found).toEqual([{ kind: 'open', detail: `pid ${child.pid} (python3), mapped into memory` }]);
  });

  itOrSay(
    'a process that has registered the disk with io_uring, and closed it, is found',
    ['python3'],
    async () => {
      const child = spawn('python3', ['-c', `${RING}\nprint("ready", flush=True)\ntime.sleep(600)`, loop]);
      undo.push(() => child.kill('SIGKILL'));
      await firstOutput(child);
      const found = await holdersWhen((now) => now.length > 0);
      expect(found).toEqual([
        { kind: 'open', detail: `pid ${child.pid} (python3), registered with io_uring` },
      ]);
    },
    ['python3', '-c', RING, '/dev/null'],
  );

  itOrSay(
    'a device-mapper device on the disk is found by its name, and one on top of that does not hide it',
    ['dmsetup'],
    async () => {
      const name = `holders-test-${process.pid}`;
      run('dmsetup', 'create', name, '--table', `0 2048 linear ${loop} 0`);
      undo.push(() => run('dmsetup', 'remove', '--retry', name));
      run('dmsetup', 'create', `${name}-top`, '--table', `0 1024 linear /dev/mapper/${name} 0`);
      undo.push(() => run('dmsetup', 'remove', '--retry', `${name}-top`));
      expect(await holders()).toContainEqual({
        kind: 'holder',
        detail: expect.stringMatching(new RegExp(`^dm-\\d+ \\(${name}\\) on ${basename(loop)}$`)),
      });
    },
    ['dmsetup', 'version'],
  );

  itOrSay(
    'a logical volume on the disk is found',
    ['pvcreate', 'vgcreate', 'lvcreate', 'vgremove', 'dmsetup'],
    async () => {
      const group = `holders_test_${process.pid}`;
      run('pvcreate', '--yes', loop);
      undo.push(() => run('pvremove', '--yes', '--force', '--force', loop));
      run('vgcreate', group, loop);
      undo.push(() => run('vgremove', '--force', '--yes', group));
      run('lvcreate', '--yes', '--zero', 'n', '--name', 'data', '--size', '4M', group);
      expect(await holders()).toContainEqual({
        kind: 'holder',
        detail: expect.stringMatching(new RegExp(`^dm-\\d+ \\(${group}-data\\) on ${basename(loop)}$`)),
      });
    },
    ['dmsetup', 'version'],
  );

  itOrSay(
    'an md array on the disk is found',
    ['mdadm'],
    async () => {
      const array = `/dev/md/holders-test-${process.pid}`;
      const arguments_ = ['--create', array, '--run', '--force', '--level=1', '--raid-devices=1', loop];
      run('mdadm', ...arguments_);
      undo.push(() => run('mdadm', '--stop', array));
      expect(await holders()).toContainEqual({
        kind: 'holder',
        detail: expect.stringMatching(new RegExp(`^md\\d+ on ${basename(loop)}$`)),
      });
    },
    ['cat', '/proc/mdstat'],
  );

  itOrSay(
    'a mounted partition is the disk, and so is one that a process has open',
    ['mount', 'sleep', 'mkfs.ext4', 'addpart', 'delpart'],
    async () => {
      const whole = attachPartitioned('partitioned.raw');
      const partition = `${whole}p1`;
      const target = join(dir, 'partition');
      mkdirSync(target);
      run('mkfs.ext4', '-q', '-F', partition);
      run('mount', partition, target);
      const own = { ...device, name: basename(whole), path: whole };
      expect(await holders(own)).toContainEqual({
        kind: 'mount',
        detail: `${partition} on ${target} (ext4)`,
      });
      run('umount', target);
      const file = openSync(partition, 'r');
      const child = spawn('sleep', ['600'], { stdio: ['ignore', 'ignore', 'ignore', file] });
      closeSync(file);
      undo.push(() => child.kill('SIGKILL'));
      const found = await holdersWhen((now) => now.some(({ detail }) => detail.includes('sleep')), own);
      expect(found).toContainEqual({ kind: 'open', detail: `pid ${child.pid} (sleep)`, readOnly: true });
      child.kill('SIGKILL');
      // Only a partition that nobody has open can be taken away again.
      await holdersWhen((now) => now.length === 0, own);
    },
  );

  itOrSay(
    'a mount that somebody has bound elsewhere is named twice',
    ['mkfs.ext4', 'mount', 'umount'],
    async () => {
      const [first, second] = [join(dir, 'first'), join(dir, 'second')];
      for (const target of [first, second]) mkdirSync(target);
      run('mkfs.ext4', '-q', '-F', loop);
      run('mount', loop, first);
      undo.push(() => run('umount', first));
      run('mount', '--bind', first, second);
      undo.push(() => run('umount', second));
      const mounts = (await holders()).filter(({ kind }) => kind === 'mount').map(({ detail }) => detail);
      expect(mounts.sort()).toEqual([`${loop} on ${first} (ext4)`, `${loop} on ${second} (ext4)`]);
    },
  );

  itOrSay('a process that has the disk open is named with pid and command', ['sleep'], async () => {
    const file = openSync(loop, 'r');
    const child = spawn('sleep', ['600'], { stdio: ['ignore', 'ignore', 'ignore', file] });
    closeSync(file);
    undo.push(() => child.kill('SIGKILL'));
    const found = await holdersWhen((now) => now.some(({ detail }) => detail.includes('sleep')));
    expect(found).toContainEqual({ kind: 'open', detail: `pid ${child.pid} (sleep)`, readOnly: true });
  });

  itOrSay(
    'what neither /proc nor /sys tells, the kernel does: it refuses an exclusive open',
    ['swapon'],
    async () => {
      run('mkswap', loop);
      run('swapon', loop);
      undo.push(() => run('swapoff', loop));
      const blind = { sysBlockDir: dir, devDir: '/dev', procDir: dir, etcDir: dir };
      const sources = { ...blind, ignoredPids: new Set<number>(), exportClients: async () => ours };
      expect((await findHolders(sources, [device])).get(loop)).toEqual([
        { kind: 'claimed', detail: `the kernel refuses an exclusive open of ${loop} (in use)` },
        { kind: 'unknown', detail: `${dir} does not tell what is mounted` },
      ]);
    },
  );

  itOrSay('a node that leads to another disk tells nothing of this one', ['mknod'], async () => {
    const other = attach('other.img');
    undo.push(() => run('losetup', '-d', other));
    const numbers = readFileSync(`/sys/block/${basename(other)}/dev`, 'utf8').trim();
    const node = join(dir, basename(loop));
    run('mknod', node, 'b', ...numbers.split(':'));
    const sources = { sysBlockDir: '/sys/block', devDir: dir, procDir: '/proc', etcDir: dir };
    const found = await findHolders({ ...sources, ignoredPids: new Set(), exportClients: async () => ours }, [
      { ...device, path: node },
    ]);
    expect(found.get(node)).toContainEqual({
      kind: 'unknown',
      detail: `${node} leads to device ${numbers} and not to ${device.dev}`,
    });
  });

  itOrSay('a node with another name and place is still the disk', ['mknod', 'sleep'], async () => {
    const [major = '', minor = ''] = (device.dev ?? '').split(':');
    const node = join(dir, 'hidden');
    run('mknod', node, 'b', major, minor);
    const file = openSync(node, 'r');
    const child = spawn('sleep', ['600'], { stdio: ['ignore', 'ignore', 'ignore', file] });
    closeSync(file);
    undo.push(() => child.kill('SIGKILL'));
    const found = await holdersWhen((now) => now.some(({ detail }) => detail.includes('sleep')));
    expect(found).toContainEqual({ kind: 'open', detail: `pid ${child.pid} (sleep)`, readOnly: true });
  });

  itOrSay('our own open descriptor is no holder', [], async () => {
    const file = openSync(loop, 'r');
    undo.push(() => closeSync(file));
    expect(await holdersWhen((found) => found.length === 0)).toEqual([]);
  });

  itOrSay(
    'an nbd-server of somebody else is a user; one that serves a client of ours is that',
    ['nbd-server'],
    async () => {
      const port = await freePort();
      const config = join(dir, 'nbd.conf');
      const section = `[disk]\nexportname = ${loop}\nreadonly = true\n`;
      writeFileSync(config, `[generic]\nlistenaddr = 127.0.0.1\nport = ${port}\n${section}`);
      const server = spawn('nbd-server', ['-d', '-C', config]);
      undo.push(() => server.kill('SIGKILL'));
      const socket = await openExport(port, 'disk');
      const detail = `pid ${server.pid} (nbd-server)`;
      const [foreign] = await holdersWhen((now) => now.length > 0);
      expect(foreign).toMatchObject({ kind: 'open', detail });
      ours = new Map([[processIdentity('/proc', server.pid ?? 0), 'connected']]);
      undo.push(() => {
        ours = new Map();
      });
      expect(await holders()).toEqual([{ kind: 'nbd-client', detail }]);
      socket.destroy();
      expect(await holdersWhen((now) => now.length === 0)).toEqual([]);
    },
  );
});

function firstOutput(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
    child.stderr?.on('data', (text) => console.warn(String(text)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

/**
 * NBD fixed newstyle: client flags, then NBD_OPT_EXPORT_NAME; the server opens the disk and goes into
 * transmission.
 */
async function openExport(port: number, name: string): Promise<Socket> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const served = await new Promise<boolean>((resolve) => {
      let greeted = false;
      socket.on('error', () => resolve(false));
      socket.on('close', () => resolve(false));
      socket.on('data', () => {
        if (greeted) return resolve(true);
        greeted = true;
        const header = Buffer.alloc(20);
        header.writeUInt32BE(1, 0);
        header.write('IHAVEOPT', 4, 'latin1');
        header.writeUInt32BE(1, 12);
        header.writeUInt32BE(name.length, 16);
        socket.write(Buffer.concat([header, Buffer.from(name)]));
      });
    });
    if (served) return socket;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
