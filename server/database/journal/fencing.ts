import { sql, type Transaction } from 'kysely';
import { DaemonError } from '../../core/errors';
import type { Epoch } from '../../model/ledger';
import type { Tables } from '../tables';

export function leaseLost(): DaemonError {
  return new DaemonError('LEASE_LOST', 'Another daemon has taken over this appliance; nothing was written');
}

/**
 * Every write begins with this: it holds a shared lock on the appliance's row until the transaction ends, so
 * that a take-over waits for the write, and a write after the take-over is refused.
 */
export async function assertEpoch(tx: Transaction<Tables>, epoch: Epoch): Promise<void> {
  const { rows } = await sql<{ epoch: number }>`
    SELECT epoch FROM appliances WHERE id = ${epoch.applianceId} LOCK IN SHARE MODE`.execute(tx);
  if (Number(rows[0]?.epoch) !== epoch.number) throw leaseLost();
}
