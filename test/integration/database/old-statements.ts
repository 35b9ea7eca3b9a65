/** A statement of the old daemon or of the hub, as it is sent, in the order of their work. */
export interface OldStatement {
  readonly by: 'daemon' | 'hub' | 'operator';
  readonly what: string;
  readonly sql: string;
}

const T = "'2025-10-01 10:00:00'";

export type OldFamily = 'specification' | 'migrated' | 'live' | 'production';

/** Ids of one round; rounds never share rows. */
export function oldStatements(family: OldFamily, round: number): OldStatement[] {
  const volume = `e0000000-0000-4000-8000-0000000000${String(round).padStart(2, '0')}`;
  const vm = `f0000000-0000-4000-8000-0000000000${String(round).padStart(2, '0')}`;
  const shared = operations(volume, vm, round);
  if (family === 'specification') return [...shared, ...configuration(round), ...specification(volume, vm)];
  return [
    ...shared,
    ...configuration(round),
    ...mappings(volume, vm),
    ...(family === 'migrated' ? migrated(volume, round) : []),
    ...(family === 'live' ? live(volume, round) : []),
    ...(family === 'production' ? [...production(volume, vm, round), ...live(volume, round)] : []),
    {
      by: 'daemon',
      what: 'removes a mapping',
      sql: `DELETE FROM device_mappings WHERE volume_uuid = '${volume}'`,
    },
  ];
}

function operations(volume: string, vm: string, round: number): OldStatement[] {
  const insert = (id: string, type: string) =>
    `INSERT INTO volume_operations (id, type, status, volume_id, vm_id, request, response, error, created_at, updated_at, completed_at)
     VALUES ('${id}-${round}', '${type}', 'pending', '${volume}', '${vm}', '{"volume_id":"${volume}"}', NULL, NULL, ${T}, ${T}, NULL)`;
  const update = (id: string, status: string) =>
    `UPDATE volume_operations SET status = '${status}', response = NULL, error = NULL, updated_at = ${T}, completed_at = NULL WHERE id = '${id}-${round}'`;
  return [
    { by: 'daemon', what: 'accepts an attach', sql: insert('go-attach', 'attach') },
    { by: 'daemon', what: 'accepts a detach meanwhile', sql: insert('go-detach', 'detach') },
    { by: 'daemon', what: 'accepts one that it will never finish', sql: insert('go-left', 'delete') },
    { by: 'daemon', what: 'executes the attach', sql: update('go-attach', 'executing') },
    { by: 'daemon', what: 'executes the detach as well', sql: update('go-detach', 'executing') },
    { by: 'daemon', what: 'executes the one that it leaves', sql: update('go-left', 'executing') },
    { by: 'daemon', what: 'completes the attach', sql: update('go-attach', 'completed') },
    { by: 'daemon', what: 'fails the detach', sql: update('go-detach', 'failed') },
    {
      by: 'daemon',
      what: 'lists operations',
      sql: `SELECT id, type, status, volume_id, vm_id, request, response, error, created_at, updated_at, completed_at
        FROM volume_operations WHERE volume_id = '${volume}' ORDER BY created_at DESC LIMIT 10`,
    },
  ];
}

/** The daemon reads it before each operation, and the hub writes it when an operator saves. */
function configuration(round: number): OldStatement[] {
  const name = `saved-${round}`;
  return [
    {
      by: 'daemon',
      what: 'reads its configuration',
      sql: 'SELECT id, name, api_url, api_key, secret_key, domain, zone, is_active FROM ossea_configs WHERE is_active = true LIMIT 1',
    },
    {
      by: 'hub',
      what: 'ends the configuration of that name',
      sql: `UPDATE ossea_configs SET is_active = false WHERE name = '${name}'`,
    },
    {
      by: 'hub',
      what: 'saves a configuration',
      sql: `INSERT INTO ossea_configs (name, api_url, api_key, secret_key, domain, zone, is_active)
        VALUES ('${name}', 'http://127.0.0.1:9', 'k', 's', 'ROOT', 'z', false)`,
    },
    {
      by: 'hub',
      what: 'changes a configuration',
      sql: `UPDATE ossea_configs SET api_url = 'http://127.0.0.1:9/client/api' WHERE name = '${name}'`,
    },
  ];
}

function mappings(volume: string, vm: string): OldStatement[] {
  const failedOver = `${volume.slice(0, -4)}f0${volume.slice(-2)}`;
  return [
    {
      by: 'daemon',
      what: 'maps a volume',
      sql: `INSERT INTO device_mappings (vm_context_id, volume_uuid, vm_id, operation_mode, cloudstack_device_id,
          requires_device_correlation, device_path, cloudstack_state, linux_state, size, last_sync, created_at, updated_at)
        VALUES (NULL, '${volume}', '${vm}', 'oma', NULL, 1, '/dev/disk/by-id/virtio-${volume.slice(-12)}', 'attached', 'detected', 5, ${T}, ${T}, ${T})`,
    },
    {
      by: 'daemon',
      what: 'reads a mapping',
      sql: `SELECT volume_uuid, volume_id_numeric, vm_id, operation_mode, device_path, size FROM device_mappings WHERE volume_uuid = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'reads every mapping of a VM',
      sql: `SELECT volume_uuid, vm_id, device_path, cloudstack_state, linux_state, size, last_sync, created_at, updated_at
        FROM device_mappings WHERE vm_id = '${vm}'`,
    },
    {
      by: 'daemon',
      what: 'finds the volume of a device',
      sql: `SELECT volume_uuid FROM device_mappings WHERE device_path = '/dev/vdy'`,
    },
    {
      by: 'daemon',
      what: 'maps a volume of a failover VM, without its id',
      sql: `INSERT INTO device_mappings (id, volume_uuid, vm_id, operation_mode, requires_device_correlation, device_path, cloudstack_state, linux_state, size)
        VALUES (uuid(), '${failedOver}', '${vm}', 'failover', 0, 'remote-vm-${vm}', 'attached', 'n/a', 0)`,
    },
    {
      by: 'daemon',
      what: 'removes the mapping of a failover VM',
      sql: `DELETE FROM device_mappings WHERE volume_uuid = '${failedOver}'`,
    },
    {
      by: 'operator',
      what: 'moves a mapping to the name by id',
      sql: `UPDATE device_mappings SET device_path = '/dev/disk/by-id/virtio-${volume.replaceAll('-', '').slice(0, 18)}${volume.slice(-2)}' WHERE volume_uuid = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'moves a mapping',
      sql: `UPDATE device_mappings SET device_path = '/dev/vdy-${volume.slice(-2)}', linux_state = 'detected', updated_at = ${T} WHERE volume_uuid = '${volume}'`,
    },
    {
      by: 'hub',
      what: 'reads the path of a volume',
      sql: `SELECT device_path FROM device_mappings WHERE volume_uuid = '${volume}'`,
    },
  ];
}

function migrated(volume: string, round: number): OldStatement[] {
  return [
    {
      by: 'daemon',
      what: 'records an export',
      sql: `INSERT INTO nbd_exports (id, volume_uuid, export_name, device_path, port, status, metadata, created_at, updated_at)
        VALUES ('go-${volume}', '${volume}', 'migration-vol-${volume}', '/dev/vdy', 10809, 'pending', '{}', ${T}, ${T})`,
    },
    { by: 'operator', what: 'looks at the health view', sql: 'SELECT * FROM device_mapping_health' },
    { by: 'operator', what: 'looks at the statistics', sql: 'SELECT * FROM volume_daemon_statistics' },
    { by: 'operator', what: 'cleans up exports', sql: 'CALL CleanupOrphanedNBDExports()' },
    { by: 'operator', what: 'cleans up operations', sql: 'CALL CleanupOrphanedOperations()' },
    {
      by: 'operator',
      what: 'keeps a history',
      sql: `INSERT INTO volume_operation_history (operation_id, details) VALUES ('go-attach-${round}', '{}')`,
    },
    {
      by: 'daemon',
      what: 'reads an export',
      sql: `SELECT id, volume_uuid, export_name, device_path, port, status, metadata FROM nbd_exports WHERE volume_uuid = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'removes an export',
      sql: `DELETE FROM nbd_exports WHERE export_name = 'migration-vol-${volume}'`,
    },
  ];
}

/**
 * What only a database with every table of the hub has. Its rows go with the context that `live` deletes in
 * the end.
 */
function production(volume: string, vm: string, round: number): OldStatement[] {
  const context = `whole-${round}`;
  const name = `migration-whole-${round}`;
  const disk = 1_000 + round;
  return [
    {
      by: 'daemon',
      what: 'accepts a cleanup',
      sql: `INSERT INTO volume_operations (id, type, status, volume_id, vm_id, request, created_at, updated_at)
        VALUES ('go-cleanup-${round}', 'cleanup', 'pending', '${volume}', '${vm}', '{}', ${T}, ${T})`,
    },
    {
      by: 'operator',
      what: 'ends stuck operations',
      sql: `UPDATE volume_operations SET status = 'failed', error = 'stuck' WHERE id = 'go-cleanup-${round}' AND status IN ('pending', 'executing')`,
    },
    {
      by: 'operator',
      what: 'keeps a history',
      sql: `INSERT INTO volume_operation_history (operation_id, previous_status, new_status, details) VALUES ('go-cleanup-${round}', 'pending', 'failed', '{}')`,
    },
    {
      by: 'operator',
      what: 'keeps figures',
      sql: `INSERT INTO volume_daemon_metrics (total_operations, operations_by_type, average_response_time_ms) VALUES (1, '{}', 1.5)`,
    },
    {
      by: 'hub',
      what: 'discovers a VM',
      sql: `INSERT INTO vm_replication_contexts (context_id, vm_name) VALUES ('${context}', 'vm')`,
    },
    {
      by: 'hub',
      what: 'starts a job',
      sql: `INSERT INTO replication_jobs (id, vm_context_id, status) VALUES ('whole-${round}', '${context}', 'running')`,
    },
    {
      by: 'hub',
      what: 'records the volume that was created',
      sql: `INSERT INTO ossea_volumes (vm_context_id, volume_id, volume_name, size_gb, status, created_at) VALUES ('${context}', '${volume}', 'n', 6, 'creating', ${T})`,
    },
    {
      by: 'hub',
      what: 'records its disk',
      sql: `INSERT INTO vm_disks (id, vm_context_id, job_id, disk_id) VALUES (${disk}, '${context}', 'whole-${round}', '2000')`,
    },
    {
      by: 'hub',
      what: 'ties the disk to the volume',
      sql: `UPDATE vm_disks SET ossea_volume_id = (SELECT id FROM ossea_volumes WHERE volume_id = '${volume}') WHERE id = ${disk}`,
    },
    {
      by: 'hub',
      what: 'records the snapshot of a volume',
      sql: `UPDATE ossea_volumes SET snapshot_id = 's', snapshot_status = 'ready', snapshot_created_at = ${T} WHERE volume_id = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'tracks a snapshot and a name',
      sql: `UPDATE device_mappings SET ossea_snapshot_id = 's', snapshot_created_at = ${T}, snapshot_status = 'ready',
          persistent_device_name = 'vol', symlink_path = '/dev/mapper/vol' WHERE volume_uuid = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'reads the snapshots of a VM',
      sql: `SELECT volume_uuid, vm_context_id, device_path, operation_mode, ossea_snapshot_id, snapshot_created_at, snapshot_status
        FROM device_mappings WHERE vm_context_id = '${context}'`,
    },
    {
      by: 'daemon',
      what: 'records an export of a job',
      sql: `INSERT INTO nbd_exports (job_id, vm_context_id, volume_id, export_name, port, device_path, config_path, status, created_at, updated_at)
        VALUES ('whole-${round}', '${context}', '${volume}', '${name}', 10809, '/dev/vdy', '/etc/nbd-server/conf.d/z.conf', 'pending', ${T}, ${T})`,
    },
    {
      by: 'hub',
      what: 'ties the export to its disk and mapping',
      sql: `UPDATE nbd_exports SET vm_disk_id = ${disk}, device_mapping_uuid = '${volume}' WHERE export_name = '${name}' AND volume_id = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'lists exports',
      sql: `SELECT volume_id, export_name, port, device_path, config_path, status, created_at, updated_at, job_id FROM nbd_exports WHERE status = 'active' LIMIT 10`,
    },
    {
      by: 'operator',
      what: 'moves an export to the name by id',
      sql: `UPDATE nbd_exports SET device_path = '/dev/disk/by-id/virtio-x' WHERE volume_id = '${volume}'`,
    },
    { by: 'hub', what: 'deletes the disk, with its export', sql: `DELETE FROM vm_disks WHERE id = ${disk}` },
    { by: 'hub', what: 'deletes the job', sql: `DELETE FROM replication_jobs WHERE id = 'whole-${round}'` },
    {
      by: 'daemon',
      what: 'forgets where a volume is',
      sql: `UPDATE ossea_volumes SET device_path = NULL, status = 'detached', updated_at = NOW() WHERE volume_id = '${volume}'`,
    },
    {
      by: 'hub',
      what: 'deletes the VM with its volumes',
      sql: `DELETE FROM vm_replication_contexts WHERE context_id = '${context}'`,
    },
  ];
}

function live(volume: string, round: number): OldStatement[] {
  const record = (
    name: string,
  ) => `INSERT INTO nbd_exports (volume_id, export_name, port, device_path, config_path, status, created_at, updated_at)
    VALUES ('${volume}', '${name}', 10809, '/dev/vdy', '/etc/nbd-server/conf.d/x.conf', 'pending', ${T}, ${T})`;
  const context = `round-${round}`;
  return [
    {
      by: 'daemon',
      what: 'records an export',
      sql: `INSERT INTO nbd_exports (job_id, vm_context_id, volume_id, export_name, port, device_path, config_path, status, created_at, updated_at)
        VALUES (NULL, NULL, '${volume}', 'migration-vol-${volume}', 10809, '/dev/vdy', '/etc/nbd-server/conf.d/y.conf', 'pending', ${T}, ${T})`,
    },
    {
      by: 'daemon',
      what: 'finds the export active',
      sql: `UPDATE nbd_exports SET status = 'active', updated_at = ${T} WHERE export_name = 'migration-vol-${volume}'`,
    },
    { by: 'hub', what: 'records a second export of the volume', sql: record(`migration-job-${round}`) },
    {
      by: 'hub',
      what: 'ties the export to its disk',
      sql: `UPDATE nbd_exports SET vm_disk_id = (SELECT MIN(vm_disk_id) FROM (SELECT vm_disk_id FROM nbd_exports) known) WHERE export_name = 'migration-vol-${volume}' AND volume_id = '${volume}'`,
    },
    {
      by: 'hub',
      what: 'adds a context',
      sql: `INSERT INTO vm_replication_contexts (context_id) VALUES ('${context}')`,
    },
    {
      by: 'hub',
      what: 'ties the mapping to it',
      sql: `UPDATE device_mappings SET vm_context_id = '${context}' WHERE volume_uuid = '${volume}'`,
    },
    {
      by: 'hub',
      what: 'begins a failover',
      sql: `UPDATE device_mappings SET operation_mode = 'failover' WHERE vm_context_id = '${context}'`,
    },
    {
      by: 'hub',
      what: 'tracks a snapshot',
      sql: `UPDATE device_mappings SET snapshot_status = 'ready' WHERE volume_uuid = '${volume}'`,
    },
    {
      by: 'hub',
      what: 'joins exports and mappings',
      sql: `SELECT e.export_name FROM nbd_exports e JOIN device_mappings m ON m.volume_id_numeric = e.vm_disk_id`,
    },
    {
      by: 'hub',
      what: 'finds exports without a disk',
      sql: `SELECT id, volume_id, export_name FROM nbd_exports WHERE vm_context_id = '${context}' AND vm_disk_id IS NULL`,
    },
    {
      by: 'daemon',
      what: 'tells the hub where a volume is',
      sql: `UPDATE ossea_volumes SET device_path = '/dev/vdy', status = 'attached', updated_at = NOW() WHERE volume_id = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'removes an export',
      sql: `DELETE FROM nbd_exports WHERE export_name = 'migration-vol-${volume}'`,
    },
    {
      by: 'operator',
      what: 'removes mappings of unknown volumes',
      sql: `DELETE FROM device_mappings WHERE volume_uuid = '${volume}' AND volume_uuid NOT IN (SELECT volume_id FROM ossea_volumes)`,
    },
    {
      by: 'hub',
      what: 'deletes the context',
      sql: `DELETE FROM vm_replication_contexts WHERE context_id = '${context}'`,
    },
  ];
}

function specification(volume: string, vm: string): OldStatement[] {
  return [
    {
      by: 'daemon',
      what: 'maps a volume',
      sql: `INSERT INTO device_mappings (id, volume_id, vm_id, device_path, cloudstack_state, linux_state, size, last_sync, created_at, updated_at)
        VALUES ('go-${volume}', '${volume}', '${vm}', '/dev/vdy', 'attached', 'detected', 5, ${T}, ${T}, ${T})`,
    },
    {
      by: 'daemon',
      what: 'reads a mapping',
      sql: `SELECT volume_id, vm_id, device_path FROM device_mappings WHERE volume_id = '${volume}'`,
    },
    {
      by: 'daemon',
      what: 'removes a mapping',
      sql: `DELETE FROM device_mappings WHERE volume_id = '${volume}'`,
    },
  ];
}
