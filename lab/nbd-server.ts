import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePackages } from './packages';
import { freePort } from './ports';

/**
 * A folder and a port for a private nbd-server. The daemon starts the real server there itself
 * (NBD_MANAGE=own).
 */
export interface NbdServer {
  readonly host: string;
  readonly port: number;
  readonly configDir: string;
  readonly baseConfig: string;
  readonly pidFile: string;
  /** Pids of the server and of the children that serve clients. */
  pids(): Promise<number[]>;
  /** Ends the server and its children. */
  stop(): Promise<void>;
}

export async function startNbdServer({ dir }: { dir: string }): Promise<NbdServer> {
  ensurePackages(['nbd-server']);
  const configDir = join(dir, 'conf.d');
  await mkdir(configDir, { recursive: true });
  const baseConfig = join(dir, 'config');
  const pids = () => processesWith(baseConfig);
  return {
    host: '127.0.0.1',
    port: await freePort(),
    configDir,
    baseConfig,
    pidFile: join(dir, 'nbd-server.pid'),
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

/**
 * Processes that were started with this configuration file; forked children keep the command line of their
 * parent.
 */
async function processesWith(baseConfig: string): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found: number[] = [];
  for (const name of names) {
    const command = await readFile(join('/proc', name, 'cmdline'), 'utf8').catch(() => '');
    const [program = '', ...args] = command.split('\0');
    if (program.endsWith('nbd-server') && args.includes(baseConfig)) found.push(Number(name));
  }
  return found;
}
