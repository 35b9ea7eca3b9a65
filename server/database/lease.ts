import { sql } from 'kysely';
import { LIMITS } from '../core/limits';
import type { Claim, Owner } from '../model/lease';
import type { Epoch } from '../model/ledger';
import { isDuplicate } from './connection/faults';
import type { Database } from './connection/pool';
import { leaseLost } from './journal/fencing';

/** The lease in the row of the appliance. All its times are the database's own. */
const IN_A_LEASE = sql`NOW(3) + INTERVAL ${sql.lit(LIMITS.LEASE_MS * 1000)} MICROSECOND`;

/**
 * Its end as it is compared. Somebody may have written a date of zeros, which is no time and equal to nothing
 * that a driver can send: it counts as released.
 */
const LEASE_UNTIL = sql`IF(TO_DAYS(lease_until) > 0, lease_until, NULL)`;

/** See Ledger.readOwner and Ledger.readNeighbour; only the connections of `query` wait for other nodes. */
export async function readOwner(
  database: Database,
  applianceId: string,
  lane: 'urgent' | 'query' = 'urgent',
): Promise<Owner | null> {
  const { rows } = await database[lane]((db) =>
    sql<{
      owner: string;
      epoch: number;
      renewals: number;
      since: Date;
      instance: string;
      lease_until: Date | null;
      left: unknown;
    }>`
      SELECT owner, epoch, renewals, since, instance, ${LEASE_UNTIL} AS lease_until,
        TIMESTAMPDIFF(MICROSECOND, NOW(3), lease_until) AS \`left\`
      FROM appliances WHERE id = ${applianceId}`.execute(db),
  );
  const [row] = rows;
  if (!row) return null;
  const { owner, instance } = row;
  return {
    owner,
    instance,
    epoch: Number(row.epoch),
    renewals: Number(row.renewals),
    since: row.since.getTime(),
    lease: row.lease_until && { until: row.lease_until.getTime(), leftMs: Number(row.left) / 1000 },
  };
}

/** See Ledger.takeOver. */
export async function takeOver(
  database: Database,
  applianceId: string,
  { owner, instance, seen, at }: Claim & { owner: string; at: number },
): Promise<Epoch> {
  const since = new Date(at);
  const number = nextEpoch(seen, at);
  if (seen === null) {
    await database
      .urgent((db) =>
        sql`INSERT INTO appliances (id, epoch, owner, since, instance, lease_until)
          VALUES (${applianceId}, ${number}, ${owner}, ${since}, ${instance}, ${IN_A_LEASE})`.execute(db),
      )
      .catch(async (error: unknown) => {
        // A trigger of another program may have met a row of its own table.
        throw isDuplicate(error) && (await readOwner(database, applianceId)) !== null ? leaseLost() : error;
      });
    return { applianceId, number };
  }
  const until = seen.lease && new Date(seen.lease.until);
  const { numAffectedRows } = await database.urgent((db) =>
    sql`UPDATE appliances SET epoch = ${number}, owner = ${owner}, since = ${since}, instance = ${instance},
        lease_until = ${IN_A_LEASE}, renewals = 0
      WHERE id = ${applianceId} AND epoch = ${seen.epoch} AND ${LEASE_UNTIL} <=> ${until}`.execute(db),
  );
  if (numAffectedRows !== 1n) throw leaseLost();
  return { applianceId, number };
}

/**
 * The number of a take-over at this wall clock ms: greater than the last one, and one that nobody had. Not
 * simply one more: somebody may have deleted the row of an owner who is still there, or have brought back
 * that of a backup or of a replica that lagged, and whoever takes over then must not get the number that this
 * one renews and writes under.
 */
function nextEpoch(seen: Owner | null, at: number): number {
  return Math.max((seen?.epoch ?? 0) + 1, Math.floor(at / 1000));
}

/** The renewals of one epoch, each greater than any before it. */
export interface Renewals {
  /** Sent, answered or not: nobody else has written this number, or a greater one. */
  readonly sent: number;
  /** Answered: a row that has less is not the one that was written. */
  readonly answered: number;
}

/** See Ledger.renewLease. */
export async function renewLease(
  database: Database,
  { applianceId, number }: Epoch,
  { sent, answered }: Renewals,
): Promise<void> {
  const { numAffectedRows } = await database.urgent((db) =>
    sql`UPDATE appliances SET lease_until = ${IN_A_LEASE}, renewals = ${sent}
      WHERE id = ${applianceId} AND epoch = ${number}
        AND renewals >= ${answered} AND renewals < ${sent}`.execute(db),
  );
  if (numAffectedRows !== 1n) throw leaseLost();
}

/** See Ledger.releaseLease. */
export async function releaseLease(database: Database, { applianceId, number }: Epoch): Promise<void> {
  await database.urgent((db) =>
    sql`UPDATE appliances SET lease_until = NULL WHERE id = ${applianceId} AND epoch = ${number}`.execute(db),
  );
}
