import type { Clock, Random } from '~/server/core/clock';

interface Row {
  readonly id: string;
}

/** What a row was from a moment on (monotonic ms). */
interface Version {
  readonly since: number;
  readonly row: Row;
}

/** What one management server has of a row; null: it has no such row yet. */
export type ServerView = <T extends Row>(row: T) => T | null;

/**
 * Management servers that answer lists from what was some time ago, each from its own: any of them may answer
 * the next list, so what lists show goes back and forth. Changes are made to what is.
 */
export class ManagementServers {
  private readonly versions = new Map<string, Version[]>();

  /** `lagsMs`: how old the lists of each server are. */
  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly lagsMs: readonly number[],
  ) {}

  /** Notes what has changed of these rows; to be called after everything that may have changed one. */
  note(rows: readonly Row[]): void {
    const now = this.clock.monotonic();
    for (const row of rows) {
      const before = this.versions.get(row.id) ?? [];
      const last = before.at(-1);
      if (last && isUnchanged(last.row, row)) continue;
      const kept = before.filter((_one, index) => this.isNeeded(before, index, now));
      this.versions.set(row.id, [...kept, { since: now, row: { ...row } }]);
    }
  }

  /** The server that answers this list. */
  pick(): ServerView {
    const lagMs = this.lagsMs[Math.floor(this.random.fraction() * this.lagsMs.length)] ?? 0;
    const asOf = this.clock.monotonic() - lagMs;
    return <T extends Row>(row: T): T | null => {
      if (lagMs === 0) return row;
      const version = this.versions.get(row.id)?.findLast(({ since }) => since <= asOf);
      return version ? { ...row, ...version.row } : null;
    };
  }

  /** Some server may still answer with this version. */
  private isNeeded(versions: readonly Version[], index: number, now: number): boolean {
    const next = versions[index + 1];
    return next === undefined || next.since > now - Math.max(...this.lagsMs);
  }
}

/**
 * Field by field: what is in a field is replaced, and never changed in its place. It is asked of every row
 * after every event of the simulation, so it makes nothing.
 */
function isUnchanged<T extends Row>(before: T, row: T): boolean {
  for (const name in row) if (before[name] !== row[name]) return false;
  for (const name in before) if (!(name in row)) return false;
  return true;
}
