// Another process that holds an appliance lock: `lock-holder.ts <dsn> <appliance id>`; says "held" once it does.
import { parseDsn } from '~/server/database/dsn';
import { ApplianceLock } from '~/server/database/ownership';
import { silentLogger } from '~/server/runtime/logger';

const [, , dsn = '', applianceId = ''] = process.argv;
const lock = new ApplianceLock(parseDsn(dsn), silentLogger);
lock.acquire(applianceId).then((held) => {
  process.stdout.write(held ? 'held\n' : 'refused\n');
  // The beat of the lock does not keep a process alive.
  setInterval(() => {}, 60_000);
});
