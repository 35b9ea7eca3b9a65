import { ready } from '../http/endpoints/service';
import { notReady } from '../http/readiness';
import { time } from '../http/replies';
import { serve } from '../http/serve';
import { systemClock } from '../runtime/clock';
import { currentDaemon } from '../runtime/current';

export default serve(ready, () => {
  const daemon = currentDaemon();
  if (daemon.phase !== 'ready') throw notReady(daemon);
  return { status: daemon.phase, timestamp: time(systemClock.now()) };
});
