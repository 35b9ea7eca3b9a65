import { type RawBuilder, sql, type Transaction } from 'kysely';
import { messageOf } from '../../core/errors';
import type { Refusals } from '../../model/ledger-writes';
import { isOfRow, unavailable } from '../connection/faults';
import { toOperation } from '../rows';
import type { Tables } from '../tables';

/**
 * Writes operations of which one must not keep the others waiting: all at once, and one by one when the row
 * of one of them is refused. Of a refused one nothing is written, and it is added to `refused`.
 *
 * @param which condition on rows of volume_operations
 * @param write what is done with those of which this condition is true; in a savepoint
 */
export async function writeRows(
  tx: Transaction<Tables>,
  which: RawBuilder<unknown>,
  write: (which: RawBuilder<unknown>) => Promise<unknown>,
  refused: Refusals,
): Promise<void> {
  if ((await refusalOf(tx, () => write(which))) === null) return;
  const { rows } = await sql`SELECT * FROM volume_operations WHERE ${which} ORDER BY sequence`.execute(tx);
  for (const operation of rows.map(toOperation)) {
    const refusal = await refusalOf(tx, () => write(sql`${which} AND id = ${operation.id}`));
    if (refusal !== null)
      refused.set(operation.id, { operation, reason: messageOf(unavailable(refusal.error)) });
  }
}

async function refusalOf(
  tx: Transaction<Tables>,
  write: () => Promise<unknown>,
): Promise<{ readonly error: unknown } | null> {
  await sql`SAVEPOINT rows_before`.execute(tx);
  try {
    await write();
    return null;
  } catch (error) {
    if (!isOfRow(error)) throw error;
    await sql`ROLLBACK TO SAVEPOINT rows_before`.execute(tx);
    return { error };
  }
}
