import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePackages } from './packages';
import { freePort } from './ports';

/**
 * A QMP socket and a port for a private qemu-storage-daemon. The daemon starts the real server there itself
 * (NBD_MANAGE=own).
 */
export interface StorageDaemon {
  readonly host: string;
  readonly port: number;
  readonly qmpSocket: string;
  pids(): Promise<number[]>;
  /** Ends the server; what it had in memory is lost. */
  stop(): Promise<void>;
}

export async function startStorageDaemon({ dir }: { dir: string }): Promise<StorageDaemon> {
  ensurePackages(['qemu-storage-daemon']);
  const qmpSocket = join(dir, 'qsd.sock');
  const pids = () => processesWith(qmpSocket);
  return {
    host: '127.0.0.1',
    port: await freePort(),
    qmpSocket,
    pids,
    stop: async () => {
      for (const pid of await pids()) endIfThere(pid);
      while ((await pids()).length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
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

async function processesWith(qmpSocket: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const [program = '', ...args] = (
      await readFile(join('/proc', name, 'cmdline'), 'utf8').catch(() => '')
    ).split('\0');
    if (program.endsWith('qemu-storage-daemon') && args.some((arg) => arg.includes(`path=${qmpSocket},`)))
      found.push(Number(name));
  }
  return found;
}
