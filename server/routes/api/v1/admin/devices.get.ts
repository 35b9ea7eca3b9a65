import { currentDaemon } from '../../../../daemon/current';
import { inspectGuest } from '../../../../http/endpoints/diagnostics';
import { guestReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(inspectGuest, async ({ query }) =>
  guestReply(await currentDaemon().diagnostics.guest({ scan: query.scan ?? false })),
);
