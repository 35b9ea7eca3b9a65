import { sql } from 'kysely';
import { DaemonError } from '../core/errors';
import type { Epoch } from '../model/ledger';
import type { Database } from './connection/pool';

/**
 * See Ledger.probe. A server may answer SELECT 1 and refuse every table, or every write: so this asks
 * for what operations need, of the tables they use, and as owner really writes one row. Whether the
 * epoch is still ours is not its business: a database that says no to an old epoch works. Each statement
 * is its own transaction, and what the last one reads may not be older than what the first has written, nor
 * than what the connection of the lease has: then a proxy leads them to two servers, of which each takes
 * writes, and all are made anew.
 *
 * @param at wall clock ms
 * @param renewals of the lease under this epoch that have been answered
 */
export async function probe(
  database: Database,
  epoch: Epoch | null,
  at: number,
  renewals: number,
): Promise<number> {
  for (const statement of [update(epoch, at), INSERT_NOTHING, DELETE_NOTHING])
    await database.query((db) => statement.execute(db));
  const { rows } = await database.query((db) => readBack(epoch).execute(db));
  const [row] = rows;
  if (row?.probed_at && row.probed_at.getTime() < at)
    throw new DaemonError(
      'DATABASE_UNAVAILABLE',
      'The database does not show what was just written to it: something on the way sends reads to a replica that lags (a proxy that splits reads from writes); lead DATABASE_DSN to one server for both',
      { retryAfterSeconds: 2 },
    );
  if (row?.renewals != null && Number(row.renewals) < renewals) {
    database.distrust();
    throw new DaemonError(
      'DATABASE_UNAVAILABLE',
      'The connections to the database lead to two servers: one has renewals of the lease that the other has not. They are made anew; let the proxy on the way cut what leads to a server that it no longer uses (haproxy: shutdown sessions)',
      { retryAfterSeconds: 2 },
    );
  }
  return row?.now.getTime() ?? Number.NaN;
}

function readBack(epoch: Epoch | null) {
  return sql<{
    now: Date;
    probed_at: Date | null;
    renewals: number | null;
  }>`SELECT CURRENT_TIMESTAMP(3) AS now, own.probed_at, own.renewals FROM (SELECT 1) one
    LEFT JOIN appliances own ON own.id = ${epoch?.applianceId ?? ''} AND own.epoch = ${epoch?.number ?? 0}`;
}

/** One statement for three tables: each is a wake-up of an idle daemon. Of the others no row matches. */
function update(epoch: Epoch | null, at: number) {
  const own =
    epoch === null
      ? sql`own.owner = own.owner WHERE FALSE`
      : sql`own.probed_at = ${new Date(at)} WHERE own.id = ${epoch.applianceId} AND own.epoch = ${epoch.number}`;
  return sql`UPDATE appliances own
    LEFT JOIN volume_operations operation ON FALSE
    LEFT JOIN device_mappings mapping ON FALSE
    SET operation.updated_at = operation.updated_at, mapping.updated_at = mapping.updated_at, ${own}`;
}

/**
 * Without this right everything but detach and sync works: a volume is detached in CloudStack, and its rows
 * stay. Nothing is compared: another program may have rows without names, and tables of an adopted database
 * may have different collations.
 */
const DELETE_NOTHING = sql`DELETE mapping, exported
  FROM device_mappings mapping LEFT JOIN nbd_exports exported ON FALSE WHERE FALSE`;

/** The server checks rights and modes all the same. */
const INSERT_NOTHING = sql`INSERT INTO volume_operation_steps (appliance_id, sequence, step, state, data)
  SELECT '', 0, '', '', '{}' FROM appliances WHERE FALSE`;
