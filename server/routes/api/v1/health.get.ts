import { health } from '../../../http/endpoints/service';
import { serve } from '../../../http/serve';
import { healthReply } from '../../../http/service-replies';
import { currentDaemon } from '../../../runtime/current';

export default serve(health, () => {
  const daemon = currentDaemon();
  return healthReply(daemon, daemon.health());
});
