import { metrics } from '../../../http/endpoints/service';
import { serve } from '../../../http/serve';
import { metricsReply } from '../../../http/service-replies';
import { currentDaemon } from '../../../runtime/current';

export default serve(metrics, async () => metricsReply(await currentDaemon().metrics()));
