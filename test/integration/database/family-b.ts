import { SPECIFICATION, VM, VOLUMES } from './old-databases';

/**
 * The specification's database after all five migrations of the old daemon: columns renamed to `volume_uuid`,
 * triggers that refuse duplicates and that follow deletes and moves, views and procedures (own words).
 */
export const MIGRATED: readonly string[] = [
  ...SPECIFICATION.filter((statement) => !statement.includes('device_mappings')),
  'CREATE TABLE volume_operation_history (id BIGINT AUTO_INCREMENT PRIMARY KEY, operation_id VARCHAR(64) NOT NULL, details JSON)',
  `CREATE TABLE device_mappings (
    id VARCHAR(64) PRIMARY KEY,
    volume_uuid VARCHAR(64) NOT NULL,
    volume_id_numeric BIGINT NULL,
    vm_id VARCHAR(64) NOT NULL,
    operation_mode ENUM('oma', 'failover') NOT NULL DEFAULT 'oma',
    cloudstack_device_id INT NULL,
    requires_device_correlation BOOLEAN NOT NULL DEFAULT false,
    device_path VARCHAR(255) NOT NULL,
    cloudstack_state VARCHAR(32) NOT NULL,
    linux_state VARCHAR(32) NOT NULL,
    size BIGINT NOT NULL,
    last_sync TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    vm_context_id VARCHAR(64) NULL,
    ossea_snapshot_id VARCHAR(191) NULL,
    snapshot_created_at TIMESTAMP NULL,
    snapshot_status VARCHAR(50) DEFAULT 'none',
    persistent_device_name VARCHAR(255) NULL,
    symlink_path VARCHAR(255) NULL,
    UNIQUE KEY unique_volume_uuid (volume_uuid),
    UNIQUE KEY unique_vm_device_path (vm_id, device_path),
    KEY idx_device_mappings_device_path (device_path)
  )`,
  `CREATE TABLE nbd_exports (
    id VARCHAR(64) PRIMARY KEY,
    volume_uuid VARCHAR(64) NOT NULL,
    export_name VARCHAR(255) NOT NULL UNIQUE,
    device_path VARCHAR(255) NOT NULL,
    port INT NOT NULL DEFAULT 10809,
    status ENUM('pending', 'active', 'failed') NOT NULL DEFAULT 'pending',
    metadata JSON NULL,
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    KEY idx_nbd_exports_volume_uuid (volume_uuid),
    CONSTRAINT fk_nbd_exports_volume FOREIGN KEY (volume_uuid) REFERENCES device_mappings (volume_uuid)
      ON DELETE CASCADE ON UPDATE CASCADE
  )`,
  `CREATE TRIGGER prevent_duplicate_volumes BEFORE INSERT ON device_mappings FOR EACH ROW
    IF EXISTS (SELECT 1 FROM device_mappings WHERE volume_uuid = NEW.volume_uuid) THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the volume is mapped already';
    END IF`,
  `CREATE TRIGGER prevent_duplicate_device_paths BEFORE INSERT ON device_mappings FOR EACH ROW
    IF EXISTS (SELECT 1 FROM device_mappings WHERE vm_id = NEW.vm_id AND device_path = NEW.device_path
        AND volume_uuid <> NEW.volume_uuid) THEN
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the path is taken';
    END IF`,
  `CREATE TRIGGER cleanup_nbd_exports_on_device_delete AFTER DELETE ON device_mappings FOR EACH ROW
    DELETE FROM nbd_exports WHERE volume_uuid = OLD.volume_uuid`,
  `CREATE TRIGGER sync_nbd_export_paths_on_device_update AFTER UPDATE ON device_mappings FOR EACH ROW
    IF OLD.device_path <> NEW.device_path THEN
      UPDATE nbd_exports SET device_path = NEW.device_path WHERE volume_uuid = NEW.volume_uuid;
    END IF`,
  `CREATE PROCEDURE CleanupOrphanedNBDExports()
    DELETE ne FROM nbd_exports ne LEFT JOIN device_mappings dm ON ne.volume_uuid = dm.volume_uuid
      WHERE dm.volume_uuid IS NULL`,
  `CREATE PROCEDURE CleanupOrphanedOperations()
    UPDATE volume_operations vo LEFT JOIN device_mappings dm ON vo.volume_id = dm.volume_uuid
      SET vo.status = 'completed', vo.completed_at = NOW()
      WHERE vo.type = 'attach' AND vo.status = 'executing' AND dm.volume_uuid IS NOT NULL`,
  `CREATE VIEW device_mapping_health AS
    SELECT ne.volume_uuid AS identifier, ne.device_path AS details FROM nbd_exports ne
      LEFT JOIN device_mappings dm ON ne.volume_uuid = dm.volume_uuid WHERE dm.volume_uuid IS NULL`,
  `CREATE VIEW volume_daemon_statistics AS SELECT (SELECT COUNT(*) FROM device_mappings WHERE operation_mode = 'oma') AS oma_mappings,
    (SELECT COUNT(*) FROM device_mapping_health) AS health_issues`,
  `INSERT INTO device_mappings (id, volume_uuid, vm_id, device_path, cloudstack_state, linux_state, size) VALUES
    ('m1', '${VOLUMES[0]}', '${VM}', '/dev/vdb', 'attached', 'detected', 5), ('m2', '${VOLUMES[1]}', '${VM}', '/dev/vdc', 'attached', 'detected', 5)`,
  `INSERT INTO nbd_exports (id, volume_uuid, export_name, device_path, status) VALUES ('e1', '${VOLUMES[0]}', 'migration-vol-${VOLUMES[0]}', '/dev/vdb', 'active')`,
];
