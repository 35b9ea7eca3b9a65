import { systemClock } from '../core/clock';
import { ready } from '../http/endpoints/service';
import { notReady } from '../http/request/not-ready';
import { timestampOf } from '../http/response/reply-of';
import { serve } from '../http/serve';

export default serve(ready, ({ daemon }) => {
  if (daemon.phase !== 'ready' || daemon.phaseReason !== null) throw notReady(daemon);
  return { status: daemon.phase, timestamp: timestampOf(systemClock.now()) };
});
