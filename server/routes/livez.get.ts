import { systemClock } from '../core/clock';
import { currentDaemonOrNull } from '../daemon/current';
import { live } from '../http/endpoints/service';
import { time } from '../http/response/replies';
import { serve } from '../http/serve';

export default serve(live, () => ({
  status: currentDaemonOrNull()?.phase ?? 'starting',
  timestamp: time(systemClock.now()),
}));
