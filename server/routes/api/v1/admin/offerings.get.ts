import { offeringReply } from '../../../../http/diagnostic-replies';
import { listOfferings } from '../../../../http/endpoints/diagnostics';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';

export default serve(listOfferings, async () =>
  (await currentDaemon().diagnostics.offerings()).map(offeringReply),
);
