import { constants, open } from 'node:fs/promises';
import type { Clock } from '../../core/clock';
import { messageOf } from '../../core/errors';
import { hasCode } from '../../core/has-code';
import { LIMITS } from '../../core/limits';

/** `free`: nothing in the kernel has claimed the device. `unknown`: why the kernel could not be asked. */
type Answer = 'free' | 'claimed' | { readonly unknown: string };

/**
 * Asks the kernel by an exclusive open whether anything has claimed a block device. An open waits
 * for as long as the kernel reads the partitions of a disk that hangs; it is asked once, and the
 * others do not wait for it.
 */
export class ExclusiveOpens {
  /**
   * Opens that have not come back in time, by path. Each occupies one of the threads that Node has for files.
   */
  private readonly stuck = new Map<string, Promise<Answer>>();

  constructor(
    private readonly clock: Clock,
    private readonly tryOpen: (path: string) => Promise<void> = openAndClose,
  ) {}

  /** Never rejects. */
  async ask(path: string): Promise<Answer> {
    const hangs = { unknown: `${path} could not be opened in ${LIMITS.EXCLUSIVE_OPEN_MS} ms` };
    if (this.stuck.has(path)) return hangs;
    if (this.stuck.size >= LIMITS.EXCLUSIVE_OPENS_STUCK_MAX)
      return { unknown: `${path} was not opened, because the opens of other disks hang` };
    const answer = this.tryOpen(path).then(
      (): Answer => 'free',
      (error: unknown): Answer =>
        hasCode(error, 'EBUSY') ? 'claimed' : { unknown: `${path} cannot be opened: ${messageOf(error)}` },
    );
    const done = new AbortController();
    const late = this.clock.sleep(LIMITS.EXCLUSIVE_OPEN_MS, done.signal).then(() => null);
    const first = await Promise.race([answer, late]);
    done.abort();
    if (first !== null) return first;
    this.stuck.set(path, answer);
    void answer.then(() => this.stuck.delete(path));
    return hangs;
  }
}

async function openAndClose(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
  await file.close();
}
