import type { Clock } from '~/server/core/clock';
import type { SeededRandom } from './random';

export interface Timer {
  readonly at: number;
  /** Decides between events of the same moment. */
  readonly tie: number;
  work: (() => void) | null;
}

/** Wall clock of the simulated world at its beginning, ms since the epoch. */
const BEGINNING = Date.UTC(2026, 0, 1);

/**
 * Virtual time and the order of everything: one event at a time, and what follows from it through promises
 * happens before the next one. Nothing else in a schedule decides about order, so a seed decides about
 * everything.
 */
export class Scheduler {
  /** ms since the beginning of the schedule. */
  time = 0;
  events = 0;
  private readonly heap: Timer[] = [];

  constructor(private readonly random: SeededRandom) {}

  /** Runs `work` in `ms`; events of the same moment come in an order that the seed decides. */
  after(ms: number, work: () => void): Timer {
    const timer: Timer = { at: this.time + Math.max(0, ms), tie: this.random.next(), work };
    push(this.heap, timer);
    return timer;
  }

  /** The world's own clock: never jumps. */
  clock(): Clock {
    return {
      now: () => BEGINNING + Math.floor(this.time),
      monotonic: () => this.time,
      sleep: (ms, signal) => this.sleep(ms, signal),
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      const abort = () => {
        timer.work = null;
        resolve();
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /**
   * Runs events until `done` says so or there are none left. A tick asked for by a promise comes when no
   * promise can go on any more, and costs less than a turn of the event loop.
   */
  run(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = () => {
        try {
          if (done() || !this.next()) return resolve();
        } catch (error) {
          return reject(error);
        }
        queueMicrotask(afterPromises);
      };
      const afterPromises = () => process.nextTick(step);
      queueMicrotask(afterPromises);
    });
  }

  private next(): boolean {
    for (let timer = pop(this.heap); timer; timer = pop(this.heap)) {
      if (!timer.work) continue;
      this.time = timer.at;
      this.events += 1;
      timer.work();
      return true;
    }
    return false;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.tie < b.tie);
}

function push(heap: Timer[], timer: Timer): void {
  let index = heap.length;
  heap.push(timer);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = heap[parent];
    if (!above || !before(timer, above)) break;
    heap[index] = above;
    index = parent;
  }
  heap[index] = timer;
}

function pop(heap: Timer[]): Timer | null {
  const first = heap[0];
  const last = heap.pop();
  if (!first || !last) return null;
  if (heap.length === 0) return first;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    const left = heap[child];
    const right = heap[child + 1];
    if (!left) break;
    let least = left;
    if (right && before(right, left)) {
      child += 1;
      least = right;
    }
    if (!before(least, last)) break;
    heap[index] = least;
    index = child;
  }
  heap[index] = last;
  return first;
}
