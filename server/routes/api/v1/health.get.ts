import { health } from '../../../http/endpoints/service';
import { healthReply } from '../../../http/response/service-replies';
import { serve } from '../../../http/serve';

export default serve(health, ({ daemon }) => healthReply(daemon, daemon.reports.health()));
