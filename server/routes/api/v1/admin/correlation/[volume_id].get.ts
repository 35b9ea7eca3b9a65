import { explainCorrelation } from '../../../../../http/endpoints/diagnostics';
import { correlationReply } from '../../../../../http/response/diagnostic-replies';
import { serve } from '../../../../../http/serve';

export default serve(explainCorrelation, async ({ daemon, params }) =>
  correlationReply(await daemon.diagnostics.correlation(params.volume_id)),
);
