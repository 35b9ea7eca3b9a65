import { systemClock } from '../core/clock';
import { currentDaemonOrNull } from '../daemon/current';
import { live } from '../http/endpoints/service';
import { timestampOf } from '../http/response/reply-of';
import { serve } from '../http/serve';

export default serve(live, () => ({
  status: currentDaemonOrNull()?.phase ?? 'starting',
  timestamp: timestampOf(systemClock.now()),
}));
