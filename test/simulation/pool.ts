import { type ChildProcess, fork } from 'node:child_process';
import { addTotals, noTotals, type Order, type Totals } from './totals';
import { withWorker } from './worker-bundle';

/** Seeds that a process is given at a time. */
const PORTION = 250;
/**
 * Portions after which a process is replaced: what a killed daemon was waiting for is never let go of, and
 * fills the memory.
 */
const PORTIONS_OF_A_PROCESS = 8;

export interface PoolOptions extends Order {
  readonly processes: number;
  readonly progress?: (totals: Totals) => void;
}

/** Runs schedules in several processes. With `stopAtFirst` it ends soon after the first violation. */
export function runPool(options: PoolOptions): Promise<Totals> {
  return withWorker(null, (worker) => runWorkers(worker, options));
}

/** The same with processes of another code: the path of what `withWorker` has made. */
export async function runWorkers(worker: string, options: PoolOptions): Promise<Totals> {
  const { from, count, processes, stopAtFirst = false, ignored = [], isEarlier = false, progress } = options;
  const totals = noTotals();
  const end = from + count;
  let next = from;
  const more = () => next < end && !(stopAtFirst && totals.found.length > 0);
  const work = async () => {
    while (more()) {
      const child = fork(worker, [], {
        // A schedule leaves much garbage behind, and all of it at once.
        execArgv: ['--max-semi-space-size=64'],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      try {
        for (let portions = 0; portions < PORTIONS_OF_A_PROCESS && more(); portions += 1) {
          const portion = Math.min(PORTION, end - next);
          const begin = next;
          next += portion;
          addTotals(
            totals,
            await order(child, { from: begin, count: portion, stopAtFirst, ignored, isEarlier }),
          );
          progress?.(totals);
        }
      } finally {
        child.disconnect();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(processes, Math.ceil(count / PORTION)) }, work));
  totals.found.sort((a, b) => a.seed - b.seed);
  return totals;
}

function order(child: ChildProcess, what: Order): Promise<Totals> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null) =>
      reject(new Error(`a process of the simulation has ended (${code})`));
    child.once('exit', died);
    child.once('error', reject);
    child.once('message', (totals) => {
      child.off('exit', died);
      child.off('error', reject);
      resolve(totals as Totals);
    });
    child.send(what);
  });
}
