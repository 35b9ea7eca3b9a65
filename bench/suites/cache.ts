import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, rmdir, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensurePackages } from '~/lab/packages';
import type { Suite } from '../bench';
import { distribution } from '../measure';

const run = promisify(execFile);
const MIB = 1024 ** 2;
/** `MemoryMax` of packaging/systemd/volume-daemon-nbd.service. */
const UNIT_MIB = 512;
/** Pause between two looks at the page cache, ms. */
const LOOK_MS = 20;

/** A memory group of the kernel, of either version. */
interface MemoryGroup {
  readonly path: string;
  /** Page cache that is charged to it, MiB. */
  cache(): Promise<number>;
}

/** The ways to keep a copy from taking all the page cache of the appliance (docs/decisions/0008). */
const WAYS = [
  { name: 'default, no limit', limit: null, none: false },
  { name: 'cache=none, no limit', limit: null, none: true },
  { name: `default, in ${UNIT_MIB} MiB`, limit: UNIT_MIB, none: false },
  { name: `cache=none, in ${UNIT_MIB} MiB`, limit: UNIT_MIB, none: true },
] as const;

export const cache: Suite = {
  name: 'cache',
  about: "nbdkit's cache=none and the memory limit of its unit: page cache and throughput (as root)",
  onDemand: true,
  run: async (bench) => {
    ensurePackages(['nbdkit', 'nbdcopy']);
    const mebibytes = bench.quick ? 1024 : 2048;
    const dir = await mkdtemp(join(tmpdir(), 'volume-bench-'));
    const file = join(dir, 'disk');
    await writeFile(file, '');
    await truncate(file, mebibytes * MIB);
    // Past the cache of the file below: what is counted is the cache of the block device, as in a guest.
    const device = (await run('losetup', ['--find', '--show', '--direct-io=on', file])).stdout.trim();
    try {
      const samples = new Map(
        WAYS.map((way) => [way, { write: [], read: [], written: [], seen: [] } as Samples]),
      );
      for (let round = 0; round < (bench.quick ? 1 : 3); round += 1)
        for (const [way, found] of samples) {
          bench.progress(`round ${round + 1}: ${way.name}`);
          await measure(dir, device, mebibytes, way, found);
        }
      const rows = [
        ['write', 'write and flush', 'MiB/s'],
        ['read', 'read', 'MiB/s'],
        ['written', 'most page cache while writing', 'MiB'],
        ['seen', 'most page cache while reading', 'MiB'],
      ] as const;
      for (const [key, what, unit] of rows)
        for (const [{ name }, found] of samples)
          bench.add(`copy of ${mebibytes} MiB: ${what}: ${name}`, distribution(found[key]).p50, unit);
    } finally {
      await run('losetup', ['--detach', device]);
      await rm(dir, { recursive: true, force: true });
    }
  },
};

type Samples = Record<'write' | 'read' | 'written' | 'seen', number[]>;

/** One copy into the device and one out of it, with nothing of it in memory before each. */
async function measure(
  dir: string,
  device: string,
  mebibytes: number,
  { limit, none }: (typeof WAYS)[number],
  found: Samples,
): Promise<void> {
  const group = await memoryGroup(limit);
  const socket = join(dir, 'nbd.sock');
  const server = spawn(
    'sh',
    [
      '-c',
      'echo $$ > "$0/cgroup.procs" && exec "$@"',
      group.path,
      ...['nbdkit', '-f', '-U', socket, 'file', device],
      ...(none ? ['cache=none'] : []),
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  try {
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
    const uri = `nbd+unix:///?socket=${socket}`;
    const pattern = ['[', 'nbdkit', '--exit-with-parent', 'pattern', `size=${mebibytes}M`, ']'];
    // The kernel drops the cache of a block device when nobody has it open any more: so while it is copied.
    const copy = async (...words: string[]) => {
      await run('blockdev', ['--flushbufs', device]);
      let most = 0;
      const look = setInterval(() => {
        void group.cache().then((now) => {
          most = Math.max(most, now);
        });
      }, LOOK_MS);
      const begun = performance.now();
      await run('nbdcopy', words).finally(() => clearInterval(look));
      return { speed: (mebibytes / (performance.now() - begun)) * 1000, most };
    };
    const written = await copy('--flush', '--', ...pattern, uri);
    const read = await copy('--', uri, 'null:');
    found.write.push(written.speed);
    found.written.push(written.most);
    found.read.push(read.speed);
    found.seen.push(read.most);
  } finally {
    server.kill();
    await once(server, 'exit');
    await rm(socket, { force: true });
    await run('blockdev', ['--flushbufs', device]);
    await rmdir(group.path);
  }
}

async function memoryGroup(limit: number | null): Promise<MemoryGroup> {
  const old = existsSync('/sys/fs/cgroup/memory');
  const path = join(old ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup', `volume-bench-${process.pid}`);
  await mkdir(path);
  if (limit !== null)
    await writeFile(join(path, old ? 'memory.limit_in_bytes' : 'memory.max'), String(limit * MIB));
  const line = old ? /^cache (\d+)/m : /^file (\d+)/m;
  return {
    path,
    cache: async () => Number(line.exec(await readFile(join(path, 'memory.stat'), 'utf8'))?.[1]) / MIB,
  };
}
