/**
 * Databases as other programs made them, with rows: the specification's own SQL, and the shape of a system
 * that has run the earlier daemon for a while (own words; only names and types matter).
 */
export const VOLUMES = [
  'a0000000-0000-4000-8000-000000000001',
  'a0000000-0000-4000-8000-000000000002',
  'a0000000-0000-4000-8000-000000000003',
] as const;
export const VM = 'c0000000-0000-4000-8000-00000000000c';

const OPERATIONS = `CREATE TABLE volume_operations (
  id VARCHAR(64) PRIMARY KEY,
  type ENUM('create', 'attach', 'detach', 'delete') NOT NULL,
  status ENUM('pending', 'executing', 'completed', 'failed', 'cancelled') NOT NULL,
  volume_id VARCHAR(64) NOT NULL,
  vm_id VARCHAR(64) NULL,
  request JSON NOT NULL,
  response JSON NULL,
  error TEXT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  completed_at TIMESTAMP NULL
)`;

/** Ids in another order than times. */
const OPERATION_ROWS = [
  `INSERT INTO volume_operations VALUES ('zz-first', 'create', 'completed', '', NULL, '{"name": "one", "size": 1073741824, "disk_offering_id": "o", "zone_id": "z"}', '{"volume_id": "${VOLUMES[0]}"}', NULL, '2025-08-19 20:00:00', '2025-08-19 20:00:09', '2025-08-19 20:00:09')`,
  `INSERT INTO volume_operations VALUES ('mm-second', 'attach', 'failed', '${VOLUMES[0]}', '${VM}', '{"volume_id": "${VOLUMES[0]}", "vm_id": "${VM}"}', NULL, 'it was not found', '2025-08-19 20:01:00', '2025-08-19 20:01:09', '2025-08-19 20:01:09')`,
  `INSERT INTO volume_operations VALUES ('aa-third', 'detach', 'executing', '${VOLUMES[0]}', NULL, '{"volume_id": "${VOLUMES[0]}"}', NULL, NULL, '2025-08-19 20:02:00', '2025-08-19 20:02:00', NULL)`,
  `INSERT INTO volume_operations VALUES ('bb-fourth', 'detach', 'executing', '${VOLUMES[0]}', NULL, '{"volume_id": "${VOLUMES[0]}"}', NULL, NULL, '2025-08-19 20:03:00', '2025-08-19 20:03:00', NULL)`,
  `INSERT INTO volume_operations VALUES ('cc-fifth', 'delete', 'pending', '${VOLUMES[1]}', NULL, '{"volume_id": "${VOLUMES[1]}"}', NULL, NULL, '2025-08-19 20:04:00', '2025-08-19 20:04:00', NULL)`,
];

const OSSEA = `CREATE TABLE ossea_configs (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(255) NOT NULL, api_url VARCHAR(255) NOT NULL,
  api_key VARCHAR(255) NOT NULL, secret_key VARCHAR(255) NOT NULL, domain VARCHAR(255) DEFAULT 'ROOT', zone VARCHAR(255) NOT NULL, is_active BOOLEAN DEFAULT false)`;

export const SPECIFICATION: readonly string[] = [
  OPERATIONS,
  `CREATE TABLE device_mappings (
    id VARCHAR(64) PRIMARY KEY,
    volume_id VARCHAR(64) NOT NULL UNIQUE,
    vm_id VARCHAR(64) NOT NULL,
    device_path VARCHAR(32) NOT NULL,
    cloudstack_state VARCHAR(32) NOT NULL,
    linux_state VARCHAR(32) NOT NULL,
    size BIGINT NOT NULL,
    last_sync TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    UNIQUE KEY unique_volume_id (volume_id),
    UNIQUE KEY unique_device_path (device_path)
  )`,
  'CREATE INDEX idx_volume_operations_volume_id ON volume_operations (volume_id)',
  'CREATE INDEX idx_volume_operations_status ON volume_operations (status)',
  'CREATE INDEX idx_volume_operations_created_at ON volume_operations (created_at)',
  'CREATE INDEX idx_device_mappings_vm_id ON device_mappings (vm_id)',
  'CREATE INDEX idx_device_mappings_device_path ON device_mappings (device_path)',
  OSSEA,
  ...OPERATION_ROWS,
  `INSERT INTO device_mappings VALUES ('m1', '${VOLUMES[0]}', '${VM}', '/dev/vdb', 'attached', 'detected', 107374182400, '2025-08-19 20:00:00', '2025-08-19 20:00:00', '2025-08-19 20:00:00')`,
  `INSERT INTO device_mappings VALUES ('m2', '${VOLUMES[1]}', '${VM}', '/dev/vdc', 'attached', 'detected', 107374182400, '2025-08-19 20:00:00', '2025-08-19 20:00:00', '2025-08-19 20:00:00')`,
];

/** The same in a database whose texts are latin1, also those that hold JSON. */
export const SPECIFICATION_LATIN1: readonly string[] = SPECIFICATION.map((statement) =>
  statement.startsWith('CREATE TABLE')
    ? `${statement.replaceAll(' JSON ', ' LONGTEXT ')} DEFAULT CHARSET=latin1`
    : statement,
);

export const LIVE: readonly string[] = [
  OPERATIONS.replace("'delete')", "'delete', 'cleanup')").replaceAll('JSON', 'LONGTEXT'),
  'CREATE TABLE vm_replication_contexts (context_id VARCHAR(64) PRIMARY KEY)',
  "INSERT INTO vm_replication_contexts VALUES ('context-1')",
  `CREATE TABLE ossea_volumes (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    vm_context_id VARCHAR(64),
    volume_id LONGTEXT NOT NULL,
    device_path LONGTEXT,
    status VARCHAR(191) DEFAULT 'creating',
    updated_at DATETIME(3),
    CONSTRAINT fk_volumes_context FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts (context_id) ON DELETE CASCADE
  )`,
  ...VOLUMES.map(
    (id) => `INSERT INTO ossea_volumes (vm_context_id, volume_id) VALUES ('context-1', '${id}')`,
  ),
  `CREATE TABLE device_mappings (
    id VARCHAR(64) NOT NULL DEFAULT (uuid()) PRIMARY KEY,
    vm_context_id VARCHAR(64),
    volume_uuid VARCHAR(64) NOT NULL UNIQUE,
    volume_id_numeric BIGINT,
    vm_id VARCHAR(64) NOT NULL,
    operation_mode ENUM('oma', 'failover') DEFAULT 'oma',
    cloudstack_device_id INT,
    requires_device_correlation TINYINT(1) DEFAULT 1,
    device_path VARCHAR(255) NOT NULL UNIQUE,
    cloudstack_state VARCHAR(32) NOT NULL,
    linux_state VARCHAR(32) NOT NULL,
    size BIGINT NOT NULL,
    last_sync TIMESTAMP NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    snapshot_status VARCHAR(50) DEFAULT 'none',
    UNIQUE KEY unique_volume_uuid (volume_uuid),
    CONSTRAINT fk_mappings_context FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts (context_id) ON DELETE CASCADE
  )`,
  `CREATE TABLE nbd_exports (
    id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    vm_context_id VARCHAR(64),
    job_id VARCHAR(191) NOT NULL,
    volume_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci DEFAULT '',
    vm_disk_id BIGINT,
    device_mapping_uuid VARCHAR(64),
    export_name VARCHAR(191) NOT NULL UNIQUE,
    port BIGINT NOT NULL,
    device_path LONGTEXT NOT NULL,
    config_path LONGTEXT,
    status VARCHAR(191) DEFAULT 'pending',
    created_at DATETIME(3),
    updated_at DATETIME(3),
    CONSTRAINT fk_exports_device FOREIGN KEY (device_mapping_uuid) REFERENCES device_mappings (volume_uuid) ON DELETE CASCADE
  )`,
  OSSEA,
  ...OPERATION_ROWS,
  `INSERT INTO device_mappings (vm_context_id, volume_uuid, vm_id, device_path, cloudstack_state, linux_state, size) VALUES ('context-1', '${VOLUMES[0]}', '${VM}', '/dev/vdb', 'attached', 'detected', 5)`,
  `INSERT INTO device_mappings (volume_uuid, vm_id, device_path, cloudstack_state, linux_state, size) VALUES ('${VOLUMES[1]}', '${VM}', '/dev/vdc', 'attached', 'detected', 5)`,
  // One good export, a second one of the same volume, and one of a volume that has no mapping.
  `INSERT INTO nbd_exports (job_id, volume_id, export_name, port, device_path, status, vm_disk_id) VALUES ('j', '${VOLUMES[0]}', 'migration-vol-${VOLUMES[0]}', 10809, '/dev/vdb', 'active', 7)`,
  `INSERT INTO nbd_exports (job_id, volume_id, export_name, port, device_path, status) VALUES ('j', '${VOLUMES[0]}', 'migration-old-name', 10809, '/dev/vdb', 'pending')`,
  `INSERT INTO nbd_exports (job_id, volume_id, export_name, port, device_path, status) VALUES ('j', '${VOLUMES[2]}', 'migration-vol-${VOLUMES[2]}', 10809, '/dev/vdz', 'active')`,
];
