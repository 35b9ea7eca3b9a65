import { systemClock } from '../core/clock';
import { currentDaemon } from '../daemon/current';
import { ready } from '../http/endpoints/service';
import { notReady } from '../http/request/not-ready';
import { time } from '../http/response/replies';
import { serve } from '../http/serve';

export default serve(ready, () => {
  const daemon = currentDaemon();
  if (daemon.phase !== 'ready') throw notReady(daemon);
  return { status: daemon.phase, timestamp: time(systemClock.now()) };
});
