import { inspectGuest } from '../../../../http/endpoints/diagnostics';
import { guestReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(inspectGuest, async ({ daemon, query }) =>
  guestReply(await daemon.diagnostics.guest({ scan: query.scan ?? false })),
);
