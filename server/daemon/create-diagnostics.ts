import { systemClock } from '../core/clock';
import { describeDsn } from '../database/connection/dsn';
import { inspectDatabase } from '../database/inspect-database';
import { MIGRATIONS } from '../database/migrations/migrations';
import { Diagnostics } from '../diagnostics/diagnostics-service';
import type { Ledger } from '../model/ledger';
import type { Adapters } from './adapters';
import type { Configuration } from './configuration/configuration';
import type { Ownership } from './ownership';

/**
 * The diagnostics over the daemon's own parts; `ledger` throws STARTING or DATABASE_UNAVAILABLE until the
 * schema is there.
 */
export function createDiagnostics(
  adapters: Adapters,
  ledger: () => Ledger,
  { devices, operations }: Pick<Configuration, 'devices' | 'operations'>,
  ownership: Ownership,
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
      unsettled: () => ownership.unsettled,
    },
    appliance: () => identity.view,
    attaching: () => ownership.engine?.attachingDisks() ?? [],
    deleteMode: operations.deleteMode,
    toleranceBytes: devices.sizeToleranceBytes,
  });
}
