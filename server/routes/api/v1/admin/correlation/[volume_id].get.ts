import { correlationReply } from '../../../../../http/diagnostic-replies';
import { explainCorrelation } from '../../../../../http/endpoints/diagnostics';
import { serve } from '../../../../../http/serve';
import { currentDaemon } from '../../../../../runtime/current';

export default serve(explainCorrelation, async ({ params }) =>
  correlationReply(await currentDaemon().diagnostics.correlation(params.volume_id)),
);
