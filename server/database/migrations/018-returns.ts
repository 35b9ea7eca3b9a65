import type { Connection } from 'mysql2/promise';

/**
 * By appliance: up to which operation of the old daemon a return from it is settled (../return-from-old.ts).
 * Several appliances may share the database, and each has operations of its own to settle.
 */
export async function addReturns(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS volume_daemon_returns (
    appliance_id VARCHAR(64) PRIMARY KEY,
    sequence BIGINT NOT NULL
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
}
