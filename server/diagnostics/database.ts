import { skewText } from '../cloudstack/wire/clock-skew';
import type { Clock } from '../core/clock';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { DatabaseFacts } from '../model/database-facts';
import type { DatabaseReport } from './reports';

/** Reports on the database. Never throws: an unreachable database is a result as well. */
export async function checkDatabase(parts: {
  readonly clock: Clock;
  /** The DSN without its password. */
  readonly database: string;
  readonly inspect: () => Promise<DatabaseFacts>;
  /** The ids of the migrations of this version. */
  readonly expected: readonly string[];
  readonly pool: DatabaseReport['pool'];
  /** Why the daemon does not take its appliance in this database; null: it does, or another daemon has it. */
  readonly unsettled: string | null;
  readonly readOwner: () => Promise<DatabaseReport['owner']>;
}): Promise<DatabaseReport> {
  const { clock, database, pool } = parts;
  const begun = clock.monotonic();
  try {
    const seen = await parts.inspect();
    const roundTripMs = clock.monotonic() - begun;
    const clockSkewMs = seen.now - clock.now();
    const problems = [];
    const applied = new Set(seen.migrations.map(({ id }) => id));
    const missing = parts.expected.filter((id) => !applied.has(id));
    if (missing.length > 0)
      problems.push(`migrations have not run: ${missing.join(', ')}; restart the daemon`);
    const newer = [...applied].filter((id) => id > (parts.expected.at(-1) ?? ''));
    if (newer.length > 0)
      problems.push(
        `migrations of a newer version have run: ${newer.join(', ')}; install that version, or a later one`,
      );
    if (parts.unsettled !== null) problems.push(parts.unsettled);
    if (Math.abs(clockSkewMs) > LIMITS.CLOCK_SKEW_WARN_MS)
      problems.push(`${skewText(clockSkewMs, "the database's")}: set right the one that is wrong`);
    const { version, migrations } = seen;
    const owner = await parts.readOwner();
    return {
      ok: problems.length === 0,
      problems,
      database,
      version,
      roundTripMs,
      clockSkewMs,
      migrations,
      pool,
      owner,
    };
  } catch (error) {
    return {
      ok: false,
      problems: [messageOf(error)],
      database,
      version: null,
      roundTripMs: null,
      clockSkewMs: null,
      migrations: [],
      pool,
      owner: null,
    };
  }
}
