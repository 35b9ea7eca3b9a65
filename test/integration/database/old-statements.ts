/** A statement of the old daemon or of the hub, as it is sent, in the order of their work. */
export interface OldStatement {
  readonly by: 'daemon' | 'hub' | 'operator';
  readonly what: string;
  readonly sql: string;
}

const T = "'2025-10-01 10:00:00'";

/** Ids of one round; rounds never share rows. */
export function oldStatements(family: 'specification' | 'migrated' | 'live', round: number): OldStatement[] {
  const volume = `e0000000-0000-4000-8000-0000000000${String(round).padStart(2, '0')}`;
  const vm = `f0000000-0000-4000-8000-0000000000${String(round).padStart(2, '0')}`;
  const shared = operations(volume, vm, round);
  if (family === 'specification') return [...shared, ...specification(volume, vm)];
  return [
    ...shared,
    ...mappings(volume, vm),
    ...(family === 'migrated' ? migrated(volume) : live(volume, round)),
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

function mappings(volume: string, vm: string): OldStatement[] {
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

function migrated(volume: string): OldStatement[] {
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
      sql: `UPDATE nbd_exports SET vm_disk_id = ${round} WHERE export_name = 'migration-vol-${volume}' AND volume_id = '${volume}'`,
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
