import { listOfferings } from '../../../../http/endpoints/diagnostics';
import { offeringReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(listOfferings, async ({ daemon }) =>
  (await daemon.diagnostics.offerings()).map(offeringReply),
);
