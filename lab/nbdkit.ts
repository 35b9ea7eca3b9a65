import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildHolder } from '~/scripts/nbd-holder';
import { ownsSocket } from '~/server/devices/sysfs/process-table';
import { listeningSockets } from '~/server/devices/sysfs/socket-table';
import { ensurePackages } from './packages';
import { freePort } from './ports';

/**
 * A port and a folder of exports for a private nbdkit. The daemon starts the real holder there itself
 * (NBD_MANAGE=own).
 */
export interface Nbdkit {
  readonly host: string;
  readonly port: number;
  readonly readOnlyPort: number;
  readonly runDir: string;
  /** The holder's program. */
  readonly holder: string;
  /** Pids of the holder and its twin. */
  holders(): Promise<number[]>;
  /**
   * Resolves when both of them have both sockets, to their pids: one that has just begun may end at once, and
   * one that has only the first socket ends with the other holder.
   */
  untilPaired(): Promise<number[]>;
  /** The pid of the holder or of its twin, in turn, once both have the sockets. */
  oneOfThePair(turn?: number): Promise<number>;
  /** Pids of the processes that serve clients. */
  servers(): Promise<number[]>;
  /** Ends all of them. */
  stop(): Promise<void>;
}

let built: Promise<string> | null = null;

/** Once for each process, which removes it when it ends. */
function holderProgram(): Promise<string> {
  built ??= (async () => {
    const dir = mkdtempSync(join(tmpdir(), 'volume-nbd-holder-'));
    process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
    const path = join(dir, 'nbd-holder.mjs');
    await buildHolder(path);
    return path;
  })();
  return built;
}

export async function startNbdkit({
  runDir,
  port,
}: {
  runDir: string;
  /** Default: a free one. */
  port?: number;
}): Promise<Nbdkit> {
  ensurePackages(['nbdkit']);
  const folder = join(runDir, 'exports');
  const holders = () => processesWith('node', `--exports=${folder}`);
  const servers = async () => [
    ...(await processesWith('nbdkit', `dir=${folder}`)),
    ...(await processesWith('nbdkit', `dir=${folder}-read-only`)),
  ];
  const ownPort = port ?? (await freePort());
  const readOnlyPort = await freePort();
  const untilPaired = async () => {
    for (;;) {
      const pair = (await holders()).filter((pid) =>
        [ownPort, readOnlyPort].every((door) => ownsSocket(pid, listeningSockets(door)) === true),
      );
      if (pair.length >= 2) return pair;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return {
    host: '127.0.0.1',
    port: ownPort,
    readOnlyPort,
    runDir,
    holder: await holderProgram(),
    holders,
    servers,
    untilPaired,
    oneOfThePair: async (turn = 0) => {
      const pair = await untilPaired();
      const pid = pair[turn % pair.length];
      // The number 0 would mean this process and its whole group.
      if (pid === undefined) throw new Error('no holder is left');
      return pid;
    },
    stop: async () => {
      for (;;) {
        // Both holders at once, else the one starts the other again.
        const left = [...(await holders()), ...(await servers())];
        if (left.length === 0) return;
        for (const pid of left) endIfThere(pid);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

function endIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

async function processesWith(program: string, argument: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const command = await readFile(join('/proc', name, 'cmdline'), 'utf8').catch(() => '');
    const [first = '', ...args] = command.split('\0');
    if (first.endsWith(program) && args.includes(argument)) found.push(Number(name));
  }
  return found;
}
