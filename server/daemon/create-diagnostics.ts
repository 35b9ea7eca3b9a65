import { systemClock } from '../core/clock';
import { describeDsn } from '../database/connection/dsn';
import { inspectDatabase } from '../database/inspect-database';
import { MIGRATIONS } from '../database/migrations/migrations';
import { Diagnostics } from '../diagnostics/diagnostics-service';
import type { Ledger } from '../model/ledger';
import type { Operation } from '../model/operation';
import type { Adapters } from './adapters';
import type { Configuration } from './configuration/configuration';

/** The diagnostics over the daemon's own parts; `ledger` throws STARTING or DATABASE_UNAVAILABLE until the schema is there. */
export function createDiagnostics(
  adapters: Adapters,
  ledger: () => Ledger,
  { devices, operations }: Pick<Configuration, 'devices' | 'operations'>,
  attaching: () => readonly Operation[],
): Diagnostics {
  const { database, cloud, settings, watcher, identity } = adapters;
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
    attaching,
    deleteMode: operations.deleteMode,
    toleranceBytes: devices.sizeToleranceBytes,
  });
}
