import { currentDaemon } from '../../../daemon/current';
import { health } from '../../../http/endpoints/service';
import { healthReply } from '../../../http/response/service-replies';
import { serve } from '../../../http/serve';

export default serve(health, () => {
  const daemon = currentDaemon();
  return healthReply(daemon, daemon.health());
});
