import type { Clock } from '~/server/core/clock';
import type { SeededRandom } from './random';
import type { Scheduler } from './scheduler';

/** Where a daemon dies: at which of its calls, and on which side of the effect. */
export interface CrashPoint {
  /** `any` or calls that change something. */
  readonly of: 'any' | 'change';
  /** 1 = the next one. */
  readonly call: number;
  readonly side: 'before' | 'after';
}

const CHANGES = new Set([
  'ledger.takeOver',
  'ledger.accept',
  'ledger.claim',
  'ledger.append',
  'ledger.auditedChange',
  'ledger.resumable',
  'ledger.requestCancel',
  'ledger.settleOpenJob',
  'ledger.renewLease',
  'ledger.releaseLease',
  'cloud.submit',
  'cloud.deleteVolume',
  'exports.publish',
  'exports.withdraw',
]);

export interface GateParts {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly trace: (line: () => string) => void;
  /** Thrown instead of the effect, or after it; null = nothing is wrong. */
  readonly trouble: (what: string) => { error: Error; after: boolean } | null;
  readonly onDeath: () => void;
  /** Told of every call of a port as it leaves, and when its answer has come. */
  readonly departs: (what: string, args: readonly unknown[]) => void;
  readonly answered: (what: string, args: readonly unknown[], value: unknown) => void;
  /** Told of an effect in the moment it happens, whether or not anybody lives to hear of it. */
  readonly happened: (what: string, args: readonly unknown[], value: unknown) => void;
}

/**
 * All that one process does to the world goes through here. When the process dies nothing of it goes on:
 * calls that have not been made are never made, answers and timers never come. A request that was on its way
 * may still arrive.
 */
export class Gate {
  alive = true;
  private crash: (CrashPoint & { left: number }) | null = null;
  private afterCrash: () => void = () => {};
  /** Virtual ms until which the process stands still. */
  private pausedUntil = 0;
  private pauseAtCall = 0;

  constructor(private readonly parts: GateParts) {}

  die(): void {
    if (!this.alive) return;
    this.alive = false;
    this.parts.onDeath();
    this.afterCrash();
  }

  /**
   * The process stands still, as by SIGSTOP or with its machine: nothing that it is told
   * reaches it until then.
   */
  pause(ms: number): void {
    this.pausedUntil = Math.max(this.pausedUntil, this.parts.scheduler.time + ms);
  }

  /** The same, as soon as it has asked CloudStack for anything: between a look and what follows from it. */
  armPause(ms: number): void {
    this.pauseAtCall = ms;
  }

  /** Runs what the process does next, once it can do anything. */
  whenAwake(work: () => void): void {
    const { scheduler } = this.parts;
    const left = this.pausedUntil - scheduler.time;
    if (left <= 0) work();
    else scheduler.after(left, () => (this.alive ? this.whenAwake(work) : undefined));
  }

  /** `died` is told when it happens: a process may have nothing left to do before. */
  armCrash(point: CrashPoint, died: () => void): void {
    this.crash = { ...point, left: point.call };
    this.afterCrash = died;
  }

  disarm(): void {
    this.crash = null;
    this.pauseAtCall = 0;
  }

  call<T>(what: string, work: () => Promise<T> | T, args: readonly unknown[] = []): Promise<T> {
    const { scheduler, random, trace } = this.parts;
    return new Promise<T>((resolve, reject) => {
      if (!this.alive) return;
      const side = this.crashSide(what);
      if (side === 'before') this.die();
      else this.parts.departs(what, args);
      if (this.pauseAtCall > 0 && what.startsWith('cloud.')) {
        trace(() => `the process stands still for ${this.pauseAtCall} ms`);
        this.pause(this.pauseAtCall);
        this.pauseAtCall = 0;
      }
      // Half of what a dead process had sent arrives all the same.
      const onTheWire = random.chance(0.5);
      const slow = what.startsWith('cloud.') ? 20 : 2;
      scheduler.after(random.between(0.01, slow), () => {
        if (!this.alive && !onTheWire) return;
        trace(() => `${what}${this.alive ? '' : ' (from a dead process)'}`);
        const trouble = this.parts.trouble(what);
        if (trouble && !trouble.after) {
          this.answer(() => reject(trouble.error), slow);
          return;
        }
        const effect = attempt(work);
        if (side === 'after') this.die();
        effect.then(
          (value) => {
            this.parts.happened(what, args, value);
            this.answer(() => {
              this.parts.answered(what, args, value);
              if (trouble) reject(trouble.error);
              else resolve(value);
            }, slow);
          },
          (error: unknown) => {
            trace(() => `${what} failed: ${error instanceof Error ? error.message : String(error)}`);
            this.answer(() => reject(error), slow);
          },
        );
      });
    });
  }

  /** The clock of this process: its monotonic time begins with it, its wall clock is the appliance's. */
  clock(wall: () => number): Clock {
    const { scheduler, random } = this.parts;
    const born = scheduler.time - random.between(0, 1000);
    return {
      now: wall,
      monotonic: () => scheduler.time - born,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          if (this.alive)
            void scheduler
              .sleep(ms, signal)
              .then(() => this.whenAwake(() => (this.alive ? resolve() : undefined)));
        }),
    };
  }

  /** A port of the world as this process sees it. `plain` names what answers at once and changes nothing. */
  port<T extends object>(name: string, target: T, plain: readonly string[] = []): T {
    const made = new Map<PropertyKey, unknown>();
    return new Proxy(target, {
      get: (object, key) => {
        const known = made.get(key);
        if (known) return known;
        const value: unknown = Reflect.get(object, key);
        if (typeof value !== 'function' || plain.includes(String(key))) return value;
        const what = `${name}.${String(key)}`;
        const call = (args: unknown[]) => this.call(what, () => Reflect.apply(value, object, args), args);
        const wrapped = (...args: unknown[]) => {
          const departs = name === 'cloud' ? args.at(-1) : undefined;
          if (typeof departs !== 'function') return call(args);
          // It is asked by the process when the call leaves, not when it arrives.
          try {
            departs();
          } catch (error) {
            return Promise.reject(error);
          }
          return call(args.slice(0, -1));
        };
        made.set(key, wrapped);
        return wrapped;
      },
    });
  }

  private answer(deliver: () => void, slow: number): void {
    const { scheduler, random } = this.parts;
    if (!this.alive) return;
    // Mostly at once: the time of a call is drawn before its effect, and that is enough to reorder answers.
    if (random.chance(0.8)) this.whenAwake(deliver);
    else
      scheduler.after(random.between(0, 2 * slow), () => (this.alive ? this.whenAwake(deliver) : undefined));
  }

  private crashSide(what: string): CrashPoint['side'] | null {
    const { crash } = this;
    if (!crash || (crash.of === 'change' && !CHANGES.has(what))) return null;
    crash.left -= 1;
    if (crash.left > 0) return null;
    this.crash = null;
    this.parts.trace(() => `the process dies ${crash.side} ${what}`);
    return crash.side;
  }
}

async function attempt<T>(work: () => Promise<T> | T): Promise<T> {
  return work();
}
