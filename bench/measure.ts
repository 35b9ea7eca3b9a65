import { readdirSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import autocannon from 'autocannon';

/** Times in ms. */
export interface Distribution {
  readonly n: number;
  readonly p50: number;
  readonly p99: number;
  readonly min: number;
  readonly max: number;
}

export function distribution(samples: readonly number[]): Distribution {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
  return { n: sorted.length, p50: at(0.5), p99: at(0.99), min: at(0), max: sorted.at(-1) ?? Number.NaN };
}

/** Runs the work `n` times, `clients` at a time, and gives the time of each. */
export async function times(
  n: number,
  clients: number,
  work: (index: number) => Promise<unknown>,
): Promise<{ samples: number[]; perSecond: number }> {
  const samples: number[] = [];
  let next = 0;
  const begun = performance.now();
  const client = async () => {
    for (let index = next; index < n; index = next) {
      next += 1;
      const start = performance.now();
      await work(index);
      samples.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { samples, perSecond: (n / (performance.now() - begun)) * 1000 };
}

export interface Load {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  /** Of the next request. */
  readonly path: () => string;
  readonly connections: number;
  readonly amount: number;
}

/** Requests per second of a load generator that costs little itself. Throws when an answer is not 2xx. */
export async function load({ url, method, path, connections, amount }: Load): Promise<number> {
  const begun = performance.now();
  let last = begun;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const requests = [
      { method, setupRequest: (request: autocannon.Request) => ({ ...request, path: path() }) },
    ];
    const run = autocannon({ url, connections, amount, requests }, (error, ended) =>
      error ? reject(error) : resolve(ended),
    );
    // It ends with the next full second after the last answer: that second is not counted.
    run.on('response', () => {
      last = performance.now();
    });
  });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx} of ${amount} answers were no success, ${result.errors} requests broke`);
  return (amount / (last - begun)) * 1000;
}

/**
 * CPU time of a process so far, ms: the scheduler's own count of all its threads, exact where the clock ticks
 * of stat are not.
 */
export function cpuTime(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => {
    const [nanoseconds] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
    return sum + Number(nanoseconds) / 1e6;
  }, 0);
}

/** Resident memory of a process, MiB. */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Open descriptors of a process. */
export function openHandles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / 1024 ** 3)} GiB, Node ${process.version}`;
}
