import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BACKENDS, type Backend, startBackend } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { ensurePackages } from '~/lab/packages';
import type { ExportFigures, ExportServer, ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/exports/naming';
import type { Bench, Suite } from '../bench';
import { distribution, residentMiB } from '../measure';

const run = promisify(execFile);
const MIB = 1024 ** 2;
const AT_ONCE = 8;

/** One of the two servers that are compared. */
interface Side {
  readonly kind: (typeof BACKENDS)[number];
  readonly version: string;
  readonly dir: string;
  readonly devDir: string;
  readonly backend: Backend;
  readonly server: ExportServer & { readonly figures: ExportFigures };
  readonly rows: Map<string, { unit: string; value: number }>;
}

/** The real export servers next to each other, on files: the figures of docs/reference/exports.md. */
export const exports: Suite = {
  name: 'exports',
  about: 'nbdkit and nbd-server: adding, removing, what clients notice, throughput',
  run: async (bench) => {
    ensurePackages(['nbdcopy']);
    const size = bench.quick ? 64 : 512;
    const sides: Side[] = [];
    try {
      for (const kind of BACKENDS) sides.push(await begin(kind));
      for (const side of sides) {
        bench.progress(`${side.kind}: add and remove`);
        await changes(side, bench.quick ? 5 : 100);
        bench.progress(`${side.kind}: what clients notice`);
        await disturbance(side);
      }
      bench.progress('throughput');
      await throughput(sides, size, bench.quick ? 1 : 3);
    } finally {
      for (const { server, backend, dir } of sides) {
        await server.close();
        await backend.stop();
        await rm(dir, { recursive: true, force: true });
      }
    }
    tell(bench, sides);
  },
};

/** The servers side by side, figure by figure. */
function tell(bench: Bench, sides: readonly Side[]): void {
  for (const what of sides[0]?.rows.keys() ?? []) {
    for (const { kind, version, rows } of sides) {
      const row = rows.get(what);
      if (row) bench.add(`${what}: ${kind}`, row.value, row.unit, null, version);
    }
  }
}

async function begin(kind: Side['kind']): Promise<Side> {
  const dir = await mkdtemp(join(tmpdir(), 'volume-bench-'));
  const devDir = join(dir, 'dev');
  await mkdir(devDir);
  const backend = await startBackend(kind, { dir, devDir });
  const server = backend.create();
  const rows: Side['rows'] = new Map();
  const { stdout, stderr } = await run(kind, [kind === 'nbd-server' ? '-V' : '--version']);
  const version = /\d+\.\d+(\.\d+)?/.exec(stdout + stderr)?.[0] ?? '?';
  return { kind, version, dir, devDir, backend, server, rows };
}

async function disk(side: Side, index: number, size = MIB): Promise<ExportTarget> {
  const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
  const devicePath = join(side.devDir, `vd${index}`);
  await writeFile(devicePath, '');
  await truncate(devicePath, size);
  return { name: exportName(volumeId), volumeId, devicePath, size, dev: null };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function note(side: Side, what: string, samples: readonly number[]): void {
  const { p50, p99 } = distribution(samples);
  side.rows.set(`${what}, p50`, { unit: 'ms', value: p50 });
  side.rows.set(`${what}, p99`, { unit: 'ms', value: p99 });
}

async function changes(side: Side, rounds: number): Promise<void> {
  const { server } = side;
  await server.publish(await disk(side, 0));
  const added: number[] = [];
  const again: number[] = [];
  const removed: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const target = await disk(side, round);
    added.push(await timed(() => server.publish(target)));
    again.push(await timed(() => server.publish(target)));
    removed.push(await timed(() => server.withdraw(target.name)));
  }
  note(side, 'add an export and prove it by a handshake', added);
  note(side, 'add what is there already', again);
  note(side, 'remove an export', removed);
  const many = await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => disk(side, 1000 + index)));
  const together = await timed(() => Promise.all(many.map((target) => server.publish(target))));
  side.rows.set(`add ${AT_ONCE} at once, until the last one answers`, { unit: 'ms', value: together });
  const [pid] = await side.backend.pids();
  if (pid !== undefined)
    side.rows.set(`memory of the server with ${AT_ONCE + 1} exports`, {
      unit: 'MiB',
      value: residentMiB(pid),
    });
}

/** Ten adds and removes while one client works and another one connects again and again. */
async function disturbance(side: Side): Promise<void> {
  const { server } = side;
  const target = await disk(side, 0);
  await server.publish(target);
  const before = server.figures;
  const live = await LiveClient.open(server.port, target.name);
  let stop = false;
  let stall = 0;
  let cut = 0;
  const working = (async () => {
    const data = Buffer.alloc(4096, 1);
    while (!stop) {
      const ms = await timed(async () => {
        await live.write(0, data);
        await live.read(0, 4096);
      });
      stall = Math.max(stall, ms);
    }
    await live.close();
  })().catch(() => {
    cut += 1;
  });
  let gap = 0;
  let last = performance.now();
  const connecting = (async () => {
    while (!stop) {
      try {
        await (await LiveClient.open(server.port, target.name)).close();
        gap = Math.max(gap, performance.now() - last);
        last = performance.now();
      } catch {
        // In the gap.
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  for (let round = 2000; round < 2010; round += 1) {
    const other = await disk(side, round);
    await server.publish(other);
    await server.withdraw(other.name);
  }
  stop = true;
  await Promise.all([working, connecting]);
  const { reloads, restarts } = server.figures;
  side.rows.set('10 adds and removes: reloads (SIGHUP)', {
    unit: '',
    value: reloads - before.reloads,
  });
  side.rows.set('10 adds and removes: restarts of the parent', {
    unit: '',
    value: restarts - before.restarts,
  });
  side.rows.set('10 adds and removes: live sessions cut, of 1', { unit: '', value: cut });
  side.rows.set('10 adds and removes: longest request of the live session', { unit: 'ms', value: stall });
  side.rows.set('10 adds and removes: longest time between two new connections', { unit: 'ms', value: gap });
}

/** Interleaved, so that whatever else the machine does meets both. */
async function throughput(sides: readonly Side[], mebibytes: number, copies: number): Promise<void> {
  const reads = new Map<Side, number[]>(sides.map((side) => [side, []]));
  const writes = new Map<Side, number[]>(sides.map((side) => [side, []]));
  const targets = new Map<Side, ExportTarget>();
  for (const side of sides) {
    const target = await disk(side, 3000, mebibytes * MIB);
    const source = join(side.dir, 'source');
    await writeFile(source, Buffer.alloc(mebibytes * MIB, 0x5a));
    await side.server.publish(target);
    targets.set(side, target);
  }
  for (let copy = 0; copy < copies; copy += 1) {
    for (const side of sides) {
      const uri = `nbd://127.0.0.1:${side.server.port}/${targets.get(side)?.name}`;
      const write = await timed(() => run('nbdcopy', ['--flush', join(side.dir, 'source'), uri]));
      const read = await timed(() => run('nbdcopy', [uri, 'null:']));
      writes.get(side)?.push((mebibytes / write) * 1000);
      reads.get(side)?.push((mebibytes / read) * 1000);
    }
  }
  for (const side of sides) {
    const middle = (samples: readonly number[] = []) => distribution(samples).p50;
    const label = `nbdcopy of ${mebibytes} MiB, median of ${copies}`;
    side.rows.set(`${label}: write and flush`, { unit: 'MiB/s', value: middle(writes.get(side)) });
    side.rows.set(`${label}: read`, { unit: 'MiB/s', value: middle(reads.get(side)) });
  }
}
