import type { LabAppliance } from '~/lab/appliance';
import { parseDsn } from '~/server/database/connection/dsn';
import { GIB } from './lab';

/** Rows that a long life leaves behind, written by the database itself: a million takes about a minute. */

/**
 * Ended operations numbered `from` … `to` − 1 with one journal entry each; a fiftieth of them failed. The ids
 * of their volumes begin differently, as those of CloudStack do: a disk names its volume by the beginning.
 */
export async function addOperations(
  lab: LabAppliance,
  { from, to }: { from: number; to: number },
): Promise<void> {
  if (to <= from) return;
  const { database } = parseDsn(lab.database.dsn);
  const appliance = lab.cloud.applianceVmId;
  const at = "FROM_UNIXTIME(UNIX_TIMESTAMP('2025-06-01') + seq * 10)";
  await lab.database.query(
    `INSERT INTO volume_operations (id, type, status, volume_id, vm_id, request, response, created_at, updated_at, completed_at, appliance_id, epoch)
     SELECT CONCAT('00000000-0000-4000-9000-', LPAD(seq, 12, '0')), ELT(1 + seq % 4, 'create', 'attach', 'detach', 'delete'),
       IF(seq % 50 = 1, 'failed', 'completed'), CONCAT(LPAD(seq DIV 4 % 10000, 8, '0'), '-0000-4000-8000-000000000000'), '${appliance}',
       '{"name":"a volume of a long life"}', '{"device_path":"/dev/vdb"}', ${at}, ${at} + INTERVAL 3 SECOND, ${at} + INTERVAL 3 SECOND, '${appliance}', 1
     FROM seq_${from + 1}_to_${to}`,
    [],
    database,
  );
  await lab.database.query(
    `INSERT INTO volume_operation_steps (appliance_id, operation_id, sequence, step, state, data, created_at)
     SELECT '${appliance}', CONCAT('00000000-0000-4000-9000-', LPAD(seq, 12, '0')), 1, 'operation', 'pending', '{}', ${at} FROM seq_${from + 1}_to_${to}`,
    [],
    database,
  );
  await lab.database.query(
    `REPLACE INTO volume_operation_totals (appliance_id, type, status, operations, response_us)
     SELECT appliance_id, type, status, COUNT(*), SUM(TIMESTAMPDIFF(MICROSECOND, created_at, completed_at)) FROM volume_operations
     WHERE status IN ('completed', 'failed') GROUP BY appliance_id, type, status`,
    [],
    database,
  );
  await lab.database.query('ANALYZE TABLE volume_operations, volume_operation_steps', [], database);
}

/**
 * Mappings of volumes that are attached to another VM, in CloudStack too: sync finds nothing to say about
 * them.
 */
export async function addMappings(
  lab: LabAppliance,
  vmId: string,
  volumes: readonly string[],
): Promise<void> {
  const { database } = parseDsn(lab.database.dsn);
  const known = new Map(lab.cloud.model.volumes.map((volume) => [volume.id, volume]));
  for (const [index, id] of volumes.entries())
    Object.assign(known.get(id) ?? {}, { vmId, state: 'Ready', deviceId: index + 1, attached: Date.now() });
  const CHUNK = 1000;
  for (let begin = 0; begin < volumes.length; begin += CHUNK) {
    const rows = volumes
      .slice(begin, begin + CHUNK)
      .map(
        (id, n) =>
          `(UUID(), '${id}', '${vmId}', 'remote-vm-${vmId}-${id}', 'attached', 'n/a', ${GIB}, NULL, ${begin + n + 1})`,
      );
    await lab.database.query(
      `INSERT INTO device_mappings (id, volume_id, vm_id, device_path, cloudstack_state, linux_state, size, matched_by, cloudstack_device_id)
       VALUES ${rows.join(',')}`,
      [],
      database,
    );
  }
}
