import { metrics } from '../../../http/endpoints/service';
import { metricsReply } from '../../../http/response/service-replies';
import { serve } from '../../../http/serve';

export default serve(metrics, async ({ daemon }) => metricsReply(await daemon.reports.metrics()));
