import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { LabAppliance } from '~/lab/appliance';
import { freePort } from '~/lab/ports';
import { pause } from './lab';

/** How another daemon is started, and where it answers. */
export interface Peer {
  /** For the shell. {port} and {dsn} stand for the port it is to serve on and the database. */
  readonly command: string;
  /** Where it answers, when it does not serve on the port it is given; {port} as above. */
  readonly url: string;
}

/** A daemon that is being measured. */
export interface Measured {
  readonly url: string;
  stop(): Promise<unknown>;
}

const PATIENCE_MS = 60_000;
const STOP_MS = 10_000;

/**
 * Starts the peer on the laboratory's database and CloudStack, and waits until it lists operations. Throws
 * with what it has written when it ends before, or does not answer in time.
 */
export async function startPeer(lab: LabAppliance, peer: Peer): Promise<Measured> {
  const port = String(await freePort());
  const fill = (text: string) => text.replaceAll('{port}', port).replaceAll('{dsn}', lab.database.dsn);
  const child = spawn(fill(peer.command), {
    shell: true,
    // Of a group of its own, so that what the shell has started ends with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...lab.env, ...toldOf(lab), HOST: '127.0.0.1', PORT: port },
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => output.push(text));
  const exited = once(child, 'exit');
  const runs = () => child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  const signal = (name: 'SIGTERM' | 'SIGKILL') => {
    if (child.pid !== undefined && runs()) process.kill(-child.pid, name);
  };
  const stop = async () => {
    const late = setTimeout(() => signal('SIGKILL'), STOP_MS);
    signal('SIGTERM');
    if (runs()) await exited;
    clearTimeout(late);
  };
  const url = fill(peer.url);
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await lists(url))) {
    if (runs() && performance.now() < deadline) {
      await pause(50);
      continue;
    }
    await stop();
    throw new Error(`the peer did not answer at ${url}:\n${output.join('')}`);
  }
  return { url, stop };
}

/** What a peer that does not read the table ossea_configs needs to know of the simulated CloudStack. */
function toldOf({ cloud }: LabAppliance): Record<string, string> {
  return {
    BENCH_CLOUDSTACK_URL: cloud.url,
    BENCH_CLOUDSTACK_API_KEY: cloud.apiKey,
    BENCH_CLOUDSTACK_SECRET_KEY: cloud.secretKey,
    BENCH_APPLIANCE_VM_ID: cloud.applianceVmId,
  };
}

async function lists(url: string): Promise<boolean> {
  return fetch(`${url}/api/v1/operations?limit=1`).then(
    async (answer) => (await answer.text()) !== '' && answer.ok,
    () => false,
  );
}
