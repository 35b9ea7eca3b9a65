import { type RawBuilder, sql, type Transaction } from 'kysely';
import { DaemonError } from '../../core/errors';
import type { Epoch } from '../../model/ledger';
import type { Tables } from '../tables';

/** The write names an epoch that is not the current one: its writer must stop. */
export function leaseLost(): DaemonError {
  return new DaemonError(
    'LEASE_LOST',
    'This appliance was taken over, by another daemon or by this one anew; nothing was written',
  );
}

/**
 * Every write begins with this: it holds a shared lock on the appliance's row until the transaction ends, so
 * that a take-over waits for the write, and a write after the take-over is refused.
 */
export async function assertEpoch(tx: Transaction<Tables>, epoch: Epoch): Promise<void> {
  const { rows } = await lockAppliance(epoch).execute(tx);
  if (Number(rows[0]?.epoch) !== epoch.number) throw leaseLost();
}

/** The lock of `assertEpoch`, for those who compare the epoch themselves. */
export function lockAppliance(epoch: Epoch): RawBuilder<{ epoch: number }> {
  return sql`${appliance(epoch)} LOCK IN SHARE MODE`;
}

/** The appliance's row, whatever its epoch is by now. */
export function appliance({ applianceId }: Epoch): RawBuilder<unknown> {
  return sql`SELECT epoch FROM appliances WHERE id = ${applianceId}`;
}

/**
 * `assertEpoch` for a write that leaves the row of its operation as it is. False when the operation is not
 * executed under this epoch.
 */
export async function lockOwn(tx: Transaction<Tables>, epoch: Epoch, operationId: string): Promise<boolean> {
  const { rows } = await sql<{ epoch: number; own: string | null }>`
    SELECT a.epoch, o.id AS own FROM appliances a
    LEFT JOIN volume_operations o ON ${ownOperation(epoch, operationId)}
    WHERE a.id = ${epoch.applianceId} LOCK IN SHARE MODE`.execute(tx);
  const [row] = rows;
  if (Number(row?.epoch) !== epoch.number) throw leaseLost();
  return row?.own === operationId;
}

/** Of the row `o`: it is executed under this epoch. */
export function ownOperation({ applianceId, number }: Epoch, operationId: string): RawBuilder<unknown> {
  return sql`o.id = ${operationId} AND o.status = 'executing' AND o.epoch = ${number} AND o.appliance_id = ${applianceId}`;
}
