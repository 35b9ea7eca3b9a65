import type { Connection } from 'mysql2/promise';
import { addColumns } from './schema';

/**
 * The lease of an appliance: until when its owner may write, by the clock of the database (NULL: it was
 * released, or comes from a version without leases), and which process that is.
 */
export async function addLeases(connection: Connection): Promise<void> {
  await addColumns(connection, 'appliances', {
    lease_until: 'DATETIME(3) NULL',
    instance: "VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ''",
  });
}
