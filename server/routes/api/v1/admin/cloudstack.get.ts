import { cloudCheckReply } from '../../../../http/diagnostic-replies';
import { checkCloudstack } from '../../../../http/endpoints/diagnostics';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';

export default serve(checkCloudstack, async () =>
  cloudCheckReply(await currentDaemon().diagnostics.cloudstack()),
);
