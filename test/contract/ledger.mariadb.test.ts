import { startMariadb } from '~/lab/mariadb';
import { systemRandom } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import { parseDsn } from '~/server/database/connection/dsn';
import { openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { describeLedger } from './ledger';

describeLedger('MariaDB', async () => {
  const server = await startMariadb();
  const dsn = parseDsn(server.dsn);
  await migrate(dsn, silentLogger);
  const pool = openPool(dsn);
  const other = openPool(dsn);
  let opened = 0;
  return {
    // Every second ledger has connections of its own, as another process would have.
    open: (options) => {
      opened += 1;
      return new MysqlLedger(opened % 2 === 0 ? other : pool, Date.now, systemRandom, {
        pendingMax: options?.pendingMax ?? LIMITS.PENDING_MAX,
      });
    },
    agreeOnTimes: async () => {
      await server.query('UPDATE volume_operations SET accepted_at = created_at', [], dsn.database);
    },
    reset: async () => {
      for (const table of [
        'volume_operation_steps',
        'volume_operations',
        'device_mappings',
        'appliances',
        'volume_operation_totals',
      ])
        await server.query(`DELETE FROM ${table}`, [], dsn.database);
    },
    close: async () => {
      await Promise.all([pool.close(), other.close()]);
      await server.stop();
    },
  };
});
