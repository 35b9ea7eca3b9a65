import type { Scenario } from '../scenario';
import { daemonKilled, exportServerRestarted, mariadbRestarted } from './crashes';
import { eightAtOnce } from './eight-at-once';
import { failover } from './failover';
import { inUse, liveResize, stoppedDaemon, surpriseUnplug } from './hardware';
import { hotPlug } from './hot-plug';
import { mainJob } from './main-job';
import { migratedDisks, migratedDisksOnScsi } from './migrated-disks';
import { ownDisks } from './own-disks';
import { powerOff, reboot } from './reboot';
import { removal, service } from './service';
import { sessions } from './sessions';

/** The longest ones first, so that guests that run side by side end together. */
export const SCENARIOS: readonly Scenario[] = [
  hotPlug,
  migratedDisks,
  migratedDisksOnScsi,
  removal,
  reboot,
  daemonKilled,
  powerOff,
  exportServerRestarted,
  service,
  sessions,
  eightAtOnce,
  surpriseUnplug,
  stoppedDaemon,
  mariadbRestarted,
  failover,
  ownDisks,
  inUse,
  mainJob,
  liveResize,
];
