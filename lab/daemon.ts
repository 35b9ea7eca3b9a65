import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports';

/** As packaging/systemd/volume-daemon.service starts it. */
export const NODE_FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=384'];
export const NODE_ENVIRONMENT = { NODE_ENV: 'production', MALLOC_ARENA_MAX: '1', UV_THREADPOOL_SIZE: '8' };
const ENTRY = fileURLToPath(new URL('../.output/server/index.mjs', import.meta.url));

export interface DaemonProcess {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Everything the daemon has written so far (both streams). */
  log(): string;
  /** ms from the start of the process to the first `ready` answer. */
  readonly readyAfter: number;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Resolves when the process has ended. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface DaemonOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly port?: number;
  /** What counts as started: `ready` (owner of its appliance), `listening` (answers at all). */
  readonly until?: 'ready' | 'listening';
  /** The server's main file; by default that of the build in .output. */
  readonly entry?: string;
}

/**
 * Starts the built server (.output) as a child process with exactly this environment, and waits until it is
 * there.
 */
export async function startDaemon(options: DaemonOptions): Promise<DaemonProcess> {
  const port = options.port ?? (await freePort());
  const started = performance.now();
  const child = spawn(process.execPath, [...NODE_FLAGS, options.entry ?? ENTRY], {
    env: {
      PATH: process.env.PATH ?? '',
      HOST: '127.0.0.1',
      PORT: String(port),
      ...NODE_ENVIRONMENT,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => output.push(chunk));
  }
  const exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  const url = `http://127.0.0.1:${port}`;
  await untilAnswers(child, url, options.until ?? 'ready', output);
  return {
    url,
    port,
    pid: child.pid ?? 0,
    log: () => output.join(''),
    readyAfter: performance.now() - started,
    exited,
    stop: async () => {
      child.kill('SIGTERM');
      return (await exited).code;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const PATIENCE_MS = 60_000;

async function untilAnswers(
  child: ChildProcess,
  url: string,
  until: 'ready' | 'listening',
  output: string[],
): Promise<void> {
  const path = until === 'ready' ? '/readyz' : '/livez';
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the daemon ended while starting:\n${output.join('')}`);
    try {
      const answer = await fetch(url + path);
      await answer.arrayBuffer();
      if (answer.ok) return;
    } catch {
      // not listening yet
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill('SIGKILL');
  throw new Error(`the daemon was not ${until} within ${PATIENCE_MS / 1000} s:\n${output.join('')}`);
}
