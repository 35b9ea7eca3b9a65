import { guestReply } from '../../../../http/diagnostic-replies';
import { inspectGuest } from '../../../../http/endpoints/diagnostics';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';

export default serve(inspectGuest, async ({ query }) =>
  guestReply(await currentDaemon().diagnostics.guest({ scan: query.scan ?? false })),
);
