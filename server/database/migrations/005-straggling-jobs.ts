import type { Connection } from 'mysql2/promise';
import { charsetClause, columnsOf } from './schema';

/**
 * straggling_jobs: what ../journal/open-jobs.ts finds in the journals of ended operations, so that an attach
 * need not read the whole history of its volume. Filled from the journals that are there.
 */
export async function adoptStragglers(connection: Connection): Promise<void> {
  const operations = await columnsOf(connection, 'volume_operations');
  await connection.query(`CREATE TABLE IF NOT EXISTS straggling_jobs (
    operation_id VARCHAR(64) ${charsetClause(operations.get('id'))} NOT NULL,
    step VARCHAR(64) NOT NULL,
    job_id VARCHAR(64) NOT NULL,
    volume_id VARCHAR(64) ${charsetClause(operations.get('volume_id'))} NOT NULL,
    PRIMARY KEY (operation_id, step, job_id),
    KEY straggling_jobs_by_volume (volume_id),
    CONSTRAINT fk_stragglers_operation FOREIGN KEY (operation_id) REFERENCES volume_operations (id) ON DELETE CASCADE
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  await connection.query(`INSERT IGNORE INTO straggling_jobs (operation_id, step, job_id, volume_id)
    SELECT DISTINCT s.operation_id, s.step, JSON_UNQUOTE(JSON_EXTRACT(s.data, '$.job_id')), o.volume_id
    FROM volume_operation_steps s JOIN volume_operations o ON o.id = s.operation_id
    WHERE o.status IN ('completed', 'failed', 'cancelled') AND s.step IN ('detach-volume', 'undo-detach-volume')
      AND s.state IN ('intent', 'accepted') AND JSON_EXTRACT(s.data, '$.job_id') IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM volume_operation_steps e
        WHERE e.operation_id = s.operation_id AND e.step = s.step AND e.state IN ('refused', 'finished')
          AND JSON_UNQUOTE(JSON_EXTRACT(e.data, '$.job_id')) = JSON_UNQUOTE(JSON_EXTRACT(s.data, '$.job_id')))`);
}
