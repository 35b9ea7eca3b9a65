import { execFile, spawn } from 'node:child_process';
import { link, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BACKENDS, type Backend, startBackend } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { ensurePackages } from '~/lab/packages';
import { freePort } from '~/lab/ports';
import type { ExportFigures, ExportServer, ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';
import { atLeast, atMost, type Bench, type Goal, type Suite } from '../bench';
import { distribution, residentMiB } from '../measure';

const run = promisify(execFile);
const MIB = 1024 ** 2;
const AT_ONCE = 8;

/** A goal is one for the default server. */
interface Row {
  readonly unit: string;
  readonly value: number;
  readonly goal?: Goal;
  readonly detail?: string;
}

/** One of the two servers that are compared. */
interface Side {
  readonly kind: (typeof BACKENDS)[number];
  readonly version: string;
  readonly dir: string;
  readonly devDir: string;
  readonly backend: Backend;
  readonly server: ExportServer & { readonly figures: ExportFigures };
  readonly rows: Map<string, Row>;
}

/** The real export servers next to each other, on files: the figures of docs/reference/exports.md. */
export const exports: Suite = {
  name: 'exports',
  about: 'nbdkit and nbd-server: adding, removing, what clients notice, throughput',
  run: async (bench) => {
    ensurePackages(['nbdcopy']);
    const size = bench.quick ? 64 : 4096;
    const sides: Side[] = [];
    try {
      for (const kind of BACKENDS) sides.push(await begin(kind));
      for (const side of sides) {
        // A restart for each makes nbd-server slow, and its figures plain soon.
        const rounds = bench.quick ? 5 : side.kind === 'nbd-server' ? 20 : 100;
        bench.progress(`${side.kind}: add and remove`);
        await changes(side, rounds);
        bench.progress(`${side.kind}: what clients notice`);
        await disturbance(side, rounds);
      }
      bench.progress('throughput');
      tell(bench, sides);
      await throughput(bench, sides, size);
    } finally {
      for (const { server, backend, dir } of sides) {
        await server.close();
        await backend.stop();
        await rm(dir, { recursive: true, force: true });
      }
    }
  },
};

/** The servers side by side, figure by figure. */
function tell(bench: Bench, sides: readonly Side[]): void {
  for (const what of sides[0]?.rows.keys() ?? []) {
    for (const { kind, version, rows } of sides) {
      const row = rows.get(what);
      if (!row) continue;
      const goal = kind === 'nbdkit' ? (row.goal ?? null) : null;
      bench.add(`${what}: ${kind}`, row.value, row.unit, goal, [version, row.detail ?? []].flat().join(', '));
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
  return { name: exportName(volumeId), volumeId, devicePath, size, dev: null, diskseq: null };
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
  side.rows.set(`add ${AT_ONCE} at once, until the last one answers`, {
    unit: 'ms',
    value: together,
    goal: atMost(150),
  });
  const [pid] = await side.backend.pids();
  if (pid !== undefined)
    side.rows.set(`memory of the server with ${AT_ONCE + 1} exports`, {
      unit: 'MiB',
      value: residentMiB(pid),
    });
}

/** Adds and removes while one client works and another one connects again and again. */
async function disturbance(side: Side, rounds: number): Promise<void> {
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
  const waits: number[] = [];
  let refused = 0;
  const connecting = (async () => {
    while (!stop) {
      try {
        const begun = performance.now();
        const client = await LiveClient.open(server.port, target.name);
        waits.push(performance.now() - begun);
        await client.close();
      } catch {
        refused += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  for (let round = 2000; round < 2000 + rounds; round += 1) {
    const other = await disk(side, round);
    await server.publish(other);
    await server.withdraw(other.name);
  }
  stop = true;
  await Promise.all([working, connecting]);
  const { reloads, restarts } = server.figures;
  const during = 'others come and go';
  const detail = `${rounds} adds and removes`;
  const { n, p50, max } = distribution(waits);
  side.rows.set(`${during}: reloads (SIGHUP)`, { unit: '', value: reloads - before.reloads, detail });
  side.rows.set(`${during}: restarts of the parent`, { unit: '', value: restarts - before.restarts, detail });
  side.rows.set(`${during}: live sessions cut, of 1`, { unit: '', value: cut, goal: atMost(0), detail });
  side.rows.set(`${during}: longest request of the live session`, { unit: 'ms', value: stall, detail });
  side.rows.set(`${during}: new connections refused`, {
    unit: '',
    value: refused,
    goal: atMost(0),
    detail: `${detail}, of ${n + refused}`,
  });
  side.rows.set(`${during}: a new connection is let in, p50`, { unit: 'ms', value: p50 });
  side.rows.set(`${during}: a new connection is let in, longest`, {
    unit: 'ms',
    value: max,
    goal: atMost(50),
  });
}

/** Somebody who takes a copy. */
interface Taker {
  readonly name: string;
  readonly uri: string;
}

interface Way {
  readonly way: 'write' | 'read';
  readonly copies: number;
  readonly words: (taker: Taker) => string[];
}

/**
 * One device behind our exports, behind servers that were started by hand, and with no server at all.
 * Interleaved, each first in turn, so that whatever else the machine does meets all.
 */
async function throughput(bench: Bench, sides: readonly Side[], mebibytes: number): Promise<void> {
  const [first] = sides;
  if (!first) return;
  const source = join(first.dir, 'source');
  await writeFile(source, Buffer.alloc(mebibytes * MIB, 0x5a));
  const target = await disk(first, 3000, mebibytes * MIB);
  const device = target.devicePath;
  const bare = await startBareServers(first.dir, device);
  try {
    const takers: Taker[] = [{ name: 'the bare device', uri: device }, ...bare.takers];
    for (const { kind, devDir, server } of sides) {
      const devicePath = join(devDir, 'vd3000');
      if (devicePath !== device) await link(device, devicePath);
      await server.publish({ ...target, devicePath });
      takers.push({ name: kind, uri: `nbd://127.0.0.1:${server.port}/${target.name}` });
    }
    const ways: readonly Way[] = [
      { way: 'write', copies: 5, words: ({ uri }) => ['--flush', source, uri] },
      { way: 'read', copies: 15, words: ({ uri }) => [uri, 'null:'] },
    ];
    for (const { way, copies, words } of ways) {
      // What was written for the one way must not be on its way to the disk while the other is measured.
      await run('sync', ['--file-system', source, device]);
      const rounds = bench.quick ? 1 : copies;
      const speeds = new Map(takers.map(({ name }) => [name, [] as number[]]));
      for (let round = 0; round < rounds; round += 1) {
        for (const taker of inTurn(takers, round)) {
          const ms = await timed(() => run('nbdcopy', words(taker)));
          speeds.get(taker.name)?.push((mebibytes / ms) * 1000);
        }
      }
      const label = `nbdcopy of ${mebibytes} MiB, median of ${rounds}: ${way}`;
      const middle = (name: string) => distribution(speeds.get(name) ?? []).p50;
      for (const { name } of takers) bench.add(`${label}: ${name}`, middle(name), 'MiB/s');
      const best = Math.max(...bare.takers.map(({ name }) => middle(name)));
      bench.add(`${label}: nbdkit / best bare server`, middle('nbdkit') / best, '', atLeast(0.95));
      bench.add(`${label}: nbdkit / bare device`, middle('nbdkit') / middle('the bare device'), '');
    }
  } finally {
    await bare.stop();
  }
}

/** Each round begins with another one, so that none is always the one after the busiest. */
const inTurn = <T>(all: readonly T[], round: number): T[] => [
  ...all.slice(round % all.length),
  ...all.slice(0, round % all.length),
];

/** Servers of one file as their manuals start them. */
async function startBareServers(
  dir: string,
  device: string,
): Promise<{ takers: Taker[]; stop(): Promise<void> }> {
  const [kit, classic] = [await freePort(), await freePort()];
  const config = join(dir, 'bare.conf');
  await writeFile(
    config,
    `[generic]\nlistenaddr = 127.0.0.1\nport = ${classic}\n[bare]\nexportname = ${device}\nflush = true\nfua = true\n`,
  );
  const pidFile = join(dir, 'bare.pid');
  // A session of its own, as a service has: the kernel shares out processor time by session
  // (docs/decisions/0008).
  const nbdkit = spawn('nbdkit', ['-f', '-i', '127.0.0.1', '-p', String(kit), 'file', device], {
    stdio: 'ignore',
    detached: true,
  });
  await run('nbd-server', ['-C', config, '-p', pidFile]);
  const takers = [
    { name: 'bare nbdkit', uri: `nbd://127.0.0.1:${kit}` },
    { name: 'bare nbd-server', uri: `nbd://127.0.0.1:${classic}/bare` },
  ];
  for (const { uri } of takers)
    while (
      await run('nbdinfo', ['--size', uri]).then(
        () => false,
        () => true,
      )
    )
      await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    takers,
    stop: async () => {
      nbdkit.kill();
      process.kill(Number(await readFile(pidFile, 'utf8')));
    },
  };
}
