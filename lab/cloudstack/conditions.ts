import type { Clock } from '~/server/core/clock';
import type { Account } from './state/accounts';

/** What holds for a time, whoever calls and whatever for; faults (./faults.ts) strike single calls. */
export const CONDITION_KINDS = [
  /**
   * CloudStack cannot read its own database: 401 to everybody, at once or after `delayMs`. Nothing
   * of the call happens.
   */
  'database-away',
  /** The user of the account `id` (without it: every user) is disabled: 401 to its key. */
  'user-disabled',
  /**
   * The volume, VM, disk offering or account `id` (or name of the account) is out of sight of every key:
   * lists leave it out, changes are 531.
   */
  'hidden',
  /**
   * Every list of several things leaves the volume, VM or disk offering `id` out, as one that has moved to an
   * earlier page while the next was asked for; asked for by its id it is shown.
   */
  'unlisted',
] as const;
type ConditionKind = (typeof CONDITION_KINDS)[number];

export interface Condition {
  readonly kind: ConditionKind;
  /** How long it holds; without it until it is cleared. */
  readonly ms?: number;
  /** Of `database-away`: how long the server tries before it answers. */
  readonly delayMs?: number;
  readonly id?: string;
}

interface Holding extends Condition {
  /** Monotonic ms. */
  readonly until: number;
}

/** The conditions that hold now. Time is the clock's; nothing has to happen for one to end. */
export class Conditions {
  private holding: Holding[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly onBegin: (condition: Condition) => void,
  ) {}

  add(condition: Condition): void {
    this.holding.push({
      ...condition,
      until: this.clock.monotonic() + (condition.ms ?? Number.POSITIVE_INFINITY),
    });
    this.onBegin(condition);
  }

  /** All of them, or those of one kind. */
  clear(kind?: ConditionKind): void {
    this.holding = this.holding.filter((one) => kind !== undefined && one.kind !== kind);
  }

  list(): readonly Condition[] {
    return this.current().map(({ until, ...condition }) =>
      until === Number.POSITIVE_INFINITY ? condition : { ...condition, ms: until - this.clock.monotonic() },
    );
  }

  /** Whether a call with this account's key is answered 401, and after how many ms; null when it is not. */
  lockout(account: Account | undefined): { readonly delayMs: number } | null {
    for (const { kind, id, delayMs = 0 } of this.current()) {
      if (kind === 'database-away') return { delayMs };
      if (
        kind === 'user-disabled' &&
        account &&
        (id === undefined || id === account.id || id === account.name)
      )
        return { delayMs: 0 };
    }
    return null;
  }

  /** Whether one of these ids or names is out of sight. */
  hides(...ids: readonly string[]): boolean {
    return this.current().some(({ kind, id }) => kind === 'hidden' && id !== undefined && ids.includes(id));
  }

  /** Whether a list of several things leaves this one out. */
  leavesOut(id: string): boolean {
    return this.current().some((one) => one.kind === 'unlisted' && one.id === id);
  }

  private current(): readonly Holding[] {
    if (this.holding.length === 0) return this.holding;
    const now = this.clock.monotonic();
    this.holding = this.holding.filter(({ until }) => now < until);
    return this.holding;
  }
}
