import { live } from '../http/endpoints/service';
import { time } from '../http/replies';
import { serve } from '../http/serve';
import { systemClock } from '../runtime/clock';
import { currentDaemonOrNull } from '../runtime/current';

export default serve(live, () => ({
  status: currentDaemonOrNull()?.phase ?? 'starting',
  timestamp: time(systemClock.now()),
}));
