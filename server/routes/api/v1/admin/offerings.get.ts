import { currentDaemon } from '../../../../daemon/current';
import { listOfferings } from '../../../../http/endpoints/diagnostics';
import { offeringReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(listOfferings, async () =>
  (await currentDaemon().diagnostics.offerings()).map(offeringReply),
);
