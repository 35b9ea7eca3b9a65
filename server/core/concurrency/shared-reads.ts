import type { Clock } from '../clock';
import { LIMITS } from '../limits';

interface UnderWay<T> {
  readonly answer: Promise<T>;
  /** Of those who have asked since it began. */
  next: Promise<T> | null;
}

/**
 * Shares the reads of those who ask for the same thing at the same time. Nobody is told what was read before
 * they asked: who asks while a read is under way gets the next one, together with all the others who have
 * asked since. It begins when the one under way is over, or after SHARED_READ_WAIT_MS, so that a read that
 * hangs holds up nobody.
 *
 * @example
 * const zones = new SharedReads(clock, (id) => readZone(id));
 * await Promise.all(ids.map((id) => zones.read(id))); // two reads for each different id
 */
export class SharedReads<T> {
  private readonly underWay = new Map<string, UnderWay<T>>();

  constructor(
    private readonly clock: Pick<Clock, 'sleep'>,
    private readonly ask: (key: string) => Promise<T>,
  ) {}

  /** Rejects as the read does, for everybody who shares it. */
  read(key: string): Promise<T> {
    const current = this.underWay.get(key);
    if (!current) return this.begin(key);
    current.next ??= this.beginAfter(current, key);
    return current.next;
  }

  private begin(key: string): Promise<T> {
    const answer = this.ask(key).finally(() => {
      if (mine.next === null && this.underWay.get(key) === mine) this.underWay.delete(key);
    });
    const mine: UnderWay<T> = { answer, next: null };
    this.underWay.set(key, mine);
    return answer;
  }

  private async beginAfter({ answer }: UnderWay<T>, key: string): Promise<T> {
    const waited = new AbortController();
    const over = answer.then(ignore, ignore);
    await Promise.race([over, this.clock.sleep(LIMITS.SHARED_READ_WAIT_MS, waited.signal)]);
    waited.abort();
    return this.begin(key);
  }
}

function ignore(): void {}
