import type { Connection } from 'mysql2/promise';
import { addColumns } from './schema';

/**
 * How often the owner of this epoch has renewed its lease: two processes that both have it are told
 * apart (../lease.ts).
 */
export async function addRenewals(connection: Connection): Promise<void> {
  await addColumns(connection, 'appliances', { renewals: 'BIGINT NOT NULL DEFAULT 0' });
}
