import { LIVE, VM, VOLUMES } from './old-databases';

/** MySQL has no unique index on a whole LONGTEXT. */
const UNIQUE_TEXT = process.env.MYSQLD === undefined ? 'LONGTEXT' : 'VARCHAR(191)';
const CASCADE = 'ON DELETE CASCADE';

/**
 * The database of a running appliance with every table of the hub around the daemon's: contexts, jobs and
 * disks whose deletion takes mappings and exports along, texts as unique keys, history and figures that
 * nobody writes (own words; only names, types and keys matter).
 */
export const PRODUCTION: readonly string[] = [
  ...LIVE.filter((statement) => /^(CREATE TABLE|INSERT INTO) volume_operations\b/.test(statement)),
  `CREATE TABLE ossea_configs (
    id BIGINT AUTO_INCREMENT PRIMARY KEY, name ${UNIQUE_TEXT} NOT NULL UNIQUE, api_url LONGTEXT NOT NULL, api_key LONGTEXT NOT NULL,
    secret_key LONGTEXT NOT NULL, domain LONGTEXT, zone LONGTEXT NOT NULL, template_id LONGTEXT, network_id LONGTEXT,
    service_offering_id LONGTEXT, disk_offering_id LONGTEXT, oma_vm_id LONGTEXT, created_at DATETIME(3), updated_at DATETIME(3),
    is_active TINYINT(1) DEFAULT 1
  )`,
  `CREATE TABLE vm_replication_contexts (
    context_id VARCHAR(64) NOT NULL DEFAULT (uuid()) PRIMARY KEY, vm_name VARCHAR(255), current_status VARCHAR(50) DEFAULT 'discovered'
  )`,
  `CREATE TABLE replication_jobs (
    id VARCHAR(191) PRIMARY KEY, vm_context_id VARCHAR(64), status VARCHAR(191),
    CONSTRAINT fk_jobs_context FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts (context_id) ${CASCADE}
  )`,
  `CREATE TABLE ossea_volumes (
    id BIGINT AUTO_INCREMENT PRIMARY KEY, vm_context_id VARCHAR(64), volume_id ${UNIQUE_TEXT} NOT NULL UNIQUE, volume_name LONGTEXT NOT NULL,
    size_gb BIGINT NOT NULL, ossea_config_id BIGINT, volume_type LONGTEXT, device_path LONGTEXT, mount_point LONGTEXT,
    status VARCHAR(191) DEFAULT 'creating', created_at DATETIME(3), updated_at DATETIME(3), snapshot_id VARCHAR(191),
    snapshot_created_at TIMESTAMP NULL, snapshot_status VARCHAR(50) DEFAULT 'none',
    CONSTRAINT fk_volumes_context FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts (context_id) ${CASCADE},
    CONSTRAINT fk_volumes_config FOREIGN KEY (ossea_config_id) REFERENCES ossea_configs (id)
  )`,
  `CREATE TABLE vm_disks (
    id BIGINT AUTO_INCREMENT PRIMARY KEY, vm_context_id VARCHAR(64), job_id VARCHAR(191), ossea_volume_id BIGINT, disk_id VARCHAR(191),
    CONSTRAINT fk_disks_context FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts (context_id) ${CASCADE}
  )`,
  `CREATE TABLE device_mappings (
    id VARCHAR(64) NOT NULL DEFAULT (uuid()) PRIMARY KEY, vm_context_id VARCHAR(64), volume_uuid VARCHAR(64) NOT NULL, volume_id_numeric BIGINT,
    vm_id VARCHAR(64) NOT NULL, operation_mode ENUM('oma', 'failover') DEFAULT 'oma', cloudstack_device_id INT,
    requires_device_correlation TINYINT(1) DEFAULT 1, device_path VARCHAR(255) NOT NULL UNIQUE, cloudstack_state VARCHAR(32) NOT NULL,
    linux_state VARCHAR(32) NOT NULL, size BIGINT NOT NULL, last_sync TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    ossea_snapshot_id VARCHAR(191), snapshot_created_at TIMESTAMP NULL, snapshot_status VARCHAR(50) DEFAULT 'none',
    persistent_device_name VARCHAR(255), symlink_path VARCHAR(255),
    UNIQUE KEY unique_volume_uuid (volume_uuid), UNIQUE KEY volume_uuid_again (volume_uuid), KEY idx_vm (vm_id),
    CONSTRAINT fk_mappings_context FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts (context_id) ${CASCADE}
  )`,
  `CREATE TABLE nbd_exports (
    id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, vm_context_id VARCHAR(64), job_id VARCHAR(191), volume_id VARCHAR(64) DEFAULT '',
    vm_disk_id BIGINT, device_mapping_uuid VARCHAR(64), export_name VARCHAR(191) NOT NULL UNIQUE, port BIGINT NOT NULL,
    device_path LONGTEXT NOT NULL, config_path LONGTEXT, status VARCHAR(191) DEFAULT 'pending', created_at DATETIME(3), updated_at DATETIME(3),
    CONSTRAINT fk_exports_context FOREIGN KEY (vm_context_id) REFERENCES vm_replication_contexts (context_id) ${CASCADE},
    CONSTRAINT fk_exports_job FOREIGN KEY (job_id) REFERENCES replication_jobs (id) ${CASCADE},
    CONSTRAINT fk_exports_disk FOREIGN KEY (vm_disk_id) REFERENCES vm_disks (id) ${CASCADE},
    CONSTRAINT fk_exports_device FOREIGN KEY (device_mapping_uuid) REFERENCES device_mappings (volume_uuid) ${CASCADE}
  ) AUTO_INCREMENT = 437`,
  `CREATE TABLE volume_operation_history (
    id BIGINT AUTO_INCREMENT PRIMARY KEY, operation_id VARCHAR(64) NOT NULL,
    previous_status ENUM('pending', 'executing', 'completed', 'failed', 'cancelled'),
    new_status ENUM('pending', 'executing', 'completed', 'failed', 'cancelled') NOT NULL,
    changed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, details LONGTEXT,
    CONSTRAINT fk_history_operation FOREIGN KEY (operation_id) REFERENCES volume_operations (id) ${CASCADE}
  )`,
  `CREATE TABLE volume_daemon_metrics (
    id BIGINT AUTO_INCREMENT PRIMARY KEY, timestamp TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, total_operations BIGINT NOT NULL DEFAULT 0,
    pending_operations BIGINT NOT NULL DEFAULT 0, active_mappings BIGINT NOT NULL DEFAULT 0, operations_by_type LONGTEXT,
    operations_by_status LONGTEXT, average_response_time_ms DECIMAL(10,2), error_rate_percent DECIMAL(5,2), details LONGTEXT
  )`,
  "INSERT INTO vm_replication_contexts (context_id, vm_name) VALUES ('context-1', 'vm-one')",
  "INSERT INTO replication_jobs (id, vm_context_id, status) VALUES ('job-1', 'context-1', 'completed')",
  ...VOLUMES.map(
    (id, index) =>
      `INSERT INTO ossea_volumes (vm_context_id, volume_id, volume_name, size_gb, status) VALUES ('context-1', '${id}', 'disk-${index}', 100, 'attached')`,
  ),
  "INSERT INTO vm_disks (id, vm_context_id, job_id, ossea_volume_id, disk_id) VALUES (7, 'context-1', 'job-1', 1, '2000')",
  `INSERT INTO device_mappings (vm_context_id, volume_uuid, vm_id, device_path, cloudstack_state, linux_state, size, persistent_device_name, symlink_path)
    VALUES ('context-1', '${VOLUMES[0]}', '${VM}', '/dev/vdb', 'attached', 'detected', 5, 'vola0000000', '/dev/mapper/vola0000000')`,
  // Half done: of a time nobody knows, without its context.
  `INSERT INTO device_mappings (volume_uuid, vm_id, device_path, cloudstack_state, linux_state, size, created_at, updated_at)
    VALUES ('${VOLUMES[1]}', '${VM}', '/dev/vdc', 'attached', 'detected', 5, NULL, NULL)`,
  `INSERT INTO nbd_exports (vm_context_id, job_id, volume_id, export_name, port, device_path, config_path, status, vm_disk_id)
    VALUES ('context-1', 'job-1', '${VOLUMES[0]}', 'migration-vol-${VOLUMES[0]}', 10809, '/dev/vdb', '/etc/nbd-server/conf.d/one.conf', 'active', 7)`,
  `INSERT INTO nbd_exports (volume_id, export_name, port, device_path, status) VALUES ('${VOLUMES[0]}', 'migration-old-name', 10809, '/dev/vdb', 'pending')`,
  `INSERT INTO nbd_exports (volume_id, export_name, port, device_path, status) VALUES ('${VOLUMES[2]}', 'migration-vol-${VOLUMES[2]}', 10809, '/dev/vdz', 'failed')`,
];
