import type { DaemonError } from '../../core/errors';
import type { Epoch, NewOperation } from '../../model/ledger';
import { queueFull } from './deduplication';

/** A request that waits or executes. */
export interface UnfinishedRequest {
  readonly id: string;
  /** Null in rows of daemons that did not store it: nothing is identical to those. */
  readonly hash: string | null;
}

/**
 * What this process knows of the appliance's queue: how many more operations may wait, and which requests are
 * unfinished. Only this process accepts for the appliance in its epoch, so it need not look again at every request.
 *
 * It may name too many requests as unfinished, never too few: one is noted before it is stored, and leaves when its
 * end is durable. Whoever is told that a request may be a repetition looks.
 */
export class KnownQueue {
  /** The epochs in which the places were counted, and the requests read. */
  private counted = 0;
  private learned = 0;
  private left = 0;
  private readonly hashes = new Map<string, number>();
  private readonly counts = new Map<number, number>();

  constructor(private readonly max: number) {}

  /** Is it certain, without another look, that `places` more may wait, and what they may repeat? */
  isKnown(epoch: Epoch, places: number): boolean {
    return this.knowsRequests(epoch) && this.counted === epoch.number && this.left >= places;
  }

  knowsRequests({ number }: Epoch): boolean {
    return this.learned === number;
  }

  /** Notes a fresh count of the operations that wait. */
  count({ number }: Epoch, waiting: number): void {
    this.counted = number;
    this.left = Math.max(0, this.max - waiting);
  }

  /** Notes the requests that a look has found, and no others. */
  learn({ number }: Epoch, unfinished: readonly UnfinishedRequest[]): void {
    this.forget();
    this.learned = number;
    for (const { id, hash } of unfinished) if (hash !== null) this.note(id, hash);
  }

  /** From now on it is not known which requests are unfinished. */
  forget(): void {
    this.learned = 0;
    this.hashes.clear();
    this.counts.clear();
  }

  /** May an identical request be unfinished? */
  mayRepeat({ requestHash }: NewOperation): boolean {
    return this.counts.has(fingerprint(requestHash));
  }

  /** Takes a place for a request that is about to be stored, once; false when there is none. */
  take({ id, requestHash }: NewOperation): boolean {
    if (this.hashes.has(id)) return true;
    if (this.left === 0) return false;
    this.left -= 1;
    this.note(id, requestHash);
    return true;
  }

  /** The end of the operation is durable, or its request was not stored. */
  ended(id: string): void {
    const hash = this.hashes.get(id);
    if (hash === undefined) return;
    this.hashes.delete(id);
    const others = (this.counts.get(hash) ?? 1) - 1;
    if (others === 0) this.counts.delete(hash);
    else this.counts.set(hash, others);
  }

  get full(): DaemonError {
    return queueFull(this.max);
  }

  private note(id: string, requestHash: string): void {
    const hash = fingerprint(requestHash);
    this.hashes.set(id, hash);
    this.counts.set(hash, (this.counts.get(hash) ?? 0) + 1);
  }
}

/** 48 bits of it. Two requests that share them cost a look. */
function fingerprint(hash: string): number {
  return Number.parseInt(hash.slice(0, 12), 16);
}
