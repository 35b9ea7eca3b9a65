import type { DaemonError } from '../../core/errors';
import { type Epoch, isSameEpoch } from '../../model/ledger';
import { queueFull } from './deduplication';

/** A request that waits or executes. */
export interface UnfinishedRequest {
  readonly id: string;
  /** Null in rows of daemons that did not store it: nothing is identical to those. */
  readonly hash: string | null;
}

/**
 * What this process knows of the appliance's queue: how many more operations may wait, and which
 * requests are unfinished. Only this process accepts for the appliance in its epoch, so it need not look
 * again at every request.
 *
 * It may name too many requests as unfinished, never too few: one is noted before it is stored, and leaves
 * when its end is durable. Whoever is told that a request may be a repetition looks.
 */
export class KnownQueue {
  /** The epochs in which the places were counted, and the requests read. */
  private counted: Epoch | null = null;
  private learned: Epoch | null = null;
  private left = 0;
  /** By id: the fingerprint of its request. */
  private readonly hashes = new Map<string, number>();
  /** By fingerprint: how many have it. */
  private readonly counts = new Map<number, number>();

  constructor(private readonly max: number) {}

  /** Is it certain, without another look, that `places` more may wait, and what they may repeat? */
  isKnown(epoch: Epoch, places: number): boolean {
    const { counted, left } = this;
    return this.knowsRequests(epoch) && counted !== null && isSameEpoch(counted, epoch) && left >= places;
  }

  knowsRequests(epoch: Epoch): boolean {
    return this.learned !== null && isSameEpoch(this.learned, epoch);
  }

  /** Notes a fresh count of the operations that wait. */
  count(epoch: Epoch, waiting: number): void {
    this.counted = epoch;
    this.left = Math.max(0, this.max - waiting);
  }

  /** Notes the requests that a look has found, and no others. */
  learn(epoch: Epoch, unfinished: readonly UnfinishedRequest[]): void {
    this.forget();
    this.learned = epoch;
    for (const { id, hash } of unfinished) if (hash !== null) this.note(id, hash);
  }

  /** From now on it is not known which requests are unfinished. */
  forget(): void {
    this.learned = null;
    this.hashes.clear();
    this.counts.clear();
  }

  /** May an identical request be unfinished? */
  mayRepeat(requestHash: string): boolean {
    return this.counts.has(fingerprint(requestHash));
  }

  /** A request that is about to be stored, or is. */
  note(id: string, requestHash: string): void {
    if (this.hashes.has(id)) return;
    const hash = fingerprint(requestHash);
    this.hashes.set(id, hash);
    this.counts.set(hash, (this.counts.get(hash) ?? 0) + 1);
  }

  /** Takes a place; false when there is none. */
  take(): boolean {
    if (this.left === 0) return false;
    this.left -= 1;
    return true;
  }

  /** Places were taken by requests that are stored. */
  taken(places: number): void {
    this.left = Math.max(0, this.left - places);
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
}

/** 48 bits of it. Two requests that share them cost a look. */
function fingerprint(hash: string): number {
  return Number.parseInt(hash.slice(0, 12), 16);
}
