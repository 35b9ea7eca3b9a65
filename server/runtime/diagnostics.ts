import { describeDsn } from '../database/dsn';
import { inspectDatabase } from '../database/inspect';
import type { Ledger } from '../database/ledger';
import { MIGRATIONS } from '../database/migrations';
import { Diagnostics } from '../diagnostics/service';
import type { Assembly } from './assembly';
import { systemClock } from './clock';

/** The diagnostics over the daemon's own parts; `ledger` throws STARTING before the schema is there. */
export function createDiagnostics(assembly: Assembly, ledger: () => Ledger, tolerance: number): Diagnostics {
  const { database, cloud, settings, watcher, identity } = assembly;
  return new Diagnostics({
    cloud,
    settings,
    watcher,
    clock: systemClock,
    ledger,
    database: {
      name: describeDsn(database.dsn),
      migrations: MIGRATIONS.map(({ id }) => id),
      inspect: () => inspectDatabase(database.kysely),
      usage: () => database.usage(),
    },
    appliance: () => identity.view,
    tolerance,
  });
}
