import { systemClock } from '../../../../../core/clock';
import { countOrphans } from '../../../../../http/endpoints/exports';
import { orphanCountReply } from '../../../../../http/response/export-cleanup-reply';
import { serve } from '../../../../../http/serve';

export default serve(countOrphans, async ({ daemon }) =>
  orphanCountReply(await daemon.orphanedExports.find(), systemClock.now()),
);
