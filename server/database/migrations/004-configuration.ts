import type { Connection } from 'mysql2/promise';

/** ossea_configs belongs to the hub: created only in a fresh database, and never changed. */
export async function adoptConfiguration(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS ossea_configs (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL UNIQUE,
    api_url VARCHAR(255) NOT NULL,
    api_key VARCHAR(512) NOT NULL,
    secret_key VARCHAR(512) NOT NULL,
    domain VARCHAR(255) NULL,
    zone VARCHAR(255) NOT NULL,
    template_id VARCHAR(255) NULL,
    network_id VARCHAR(255) NULL,
    service_offering_id VARCHAR(255) NULL,
    disk_offering_id VARCHAR(255) NULL,
    oma_vm_id VARCHAR(255) NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
    is_active TINYINT(1) NOT NULL DEFAULT 1
  ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4`);
}
