import type { Scenario } from '../scenario';
import { daemonKilled, exportServerRestarted, mariadbRestarted } from './crashes';
import { eightAtOnce } from './eight-at-once';
import { failover } from './failover';
import { inUse, liveResize, surpriseUnplug } from './hardware';
import { hotPlug } from './hot-plug';
import { mainJob } from './main-job';
import { powerOff, reboot } from './reboot';
import { removal, service } from './service';

/** In order of importance. */
export const SCENARIOS: readonly Scenario[] = [
  mainJob,
  eightAtOnce,
  reboot,
  daemonKilled,
  powerOff,
  mariadbRestarted,
  exportServerRestarted,
  surpriseUnplug,
  liveResize,
  inUse,
  failover,
  service,
  hotPlug,
  removal,
];
