// Another process that holds an appliance lock: `lock-holder.ts <dsn> <appliance id>`; says "held" once it
// does.

import { silentLogger } from '~/server/core/log/logger';
import { ApplianceLock } from '~/server/database/connection/appliance-lock';
import { parseDsn } from '~/server/database/connection/dsn';

const [, , dsn = '', applianceId = ''] = process.argv;
const lock = new ApplianceLock(parseDsn(dsn), silentLogger);
lock.acquire(applianceId).then((held) => {
  process.stdout.write(held ? 'held\n' : 'refused\n');
  // The beat of the lock does not keep a process alive.
  setInterval(() => {}, 60_000);
});
