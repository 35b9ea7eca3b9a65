import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { migrate } from '~/server/database/migrations/migrate';

/** A private MariaDB with the tables of the daemon; whoever starts it stops it. */
export async function startMigrated(): Promise<{ readonly server: Mariadb; readonly dsn: Dsn }> {
  const server = await startMariadb();
  const dsn = parseDsn(server.dsn);
  await migrate(dsn, silentLogger);
  return { server, dsn };
}
