import type { Connection, RowDataPacket } from 'mysql2/promise';
import { columnsOf } from './schema';

/**
 * Remembers, before the first migration runs, that this database has rows of the old daemon, so that sync
 * deletes none of them before somebody has seen which (../adoption.ts).
 */
export async function noteAdoption(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS volume_daemon_adoption (
    id TINYINT PRIMARY KEY,
    adopted_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    shown_at TIMESTAMP(3) NULL
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  const [applied] = await connection.query<RowDataPacket[]>('SELECT 1 FROM volume_daemon_migrations LIMIT 1');
  if (applied.length > 0) return;
  for (const table of ['device_mappings', 'nbd_exports']) {
    if ((await columnsOf(connection, table)).size === 0) continue;
    const [rows] = await connection.query<RowDataPacket[]>(`SELECT 1 FROM ${table} LIMIT 1`);
    if (rows.length > 0)
      await connection.query('INSERT IGNORE INTO volume_daemon_adoption (id, shown_at) VALUES (1, NULL)');
  }
}
