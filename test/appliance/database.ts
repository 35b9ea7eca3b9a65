import { OSSEA_CONFIGS } from '~/lab/mariadb';

/**
 * Script for the guest: the tables that the other services of an appliance have made before the daemon is
 * installed.
 */
export const DATABASE = `mariadb <<'END'
CREATE DATABASE migratekit_oma;
CREATE USER 'oma_user'@'%' IDENTIFIED BY 'oma_password';
CREATE USER 'oma_user'@'localhost' IDENTIFIED BY 'oma_password';
GRANT ALL ON migratekit_oma.* TO 'oma_user'@'%';
GRANT ALL ON migratekit_oma.* TO 'oma_user'@'localhost';
END`;

/** The row that the other services of an appliance keep. */
export function configurationRow({
  apiKey,
  secretKey,
  zoneId,
}: {
  apiKey: string;
  secretKey: string;
  zoneId: string;
}): string {
  return `${OSSEA_CONFIGS};
DELETE FROM ossea_configs;
INSERT INTO ossea_configs SET name='lab', api_url='http://10.0.2.100:8080/client/api', api_key='${apiKey}',
  secret_key='${secretKey}', zone='${zoneId}', is_active=1, updated_at=NOW();
`;
}
