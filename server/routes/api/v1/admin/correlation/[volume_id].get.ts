import { currentDaemon } from '../../../../../daemon/current';
import { explainCorrelation } from '../../../../../http/endpoints/diagnostics';
import { correlationReply } from '../../../../../http/response/diagnostic-replies';
import { serve } from '../../../../../http/serve';

export default serve(explainCorrelation, async ({ params }) =>
  correlationReply(await currentDaemon().diagnostics.correlation(params.volume_id)),
);
