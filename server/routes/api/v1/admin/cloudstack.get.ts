import { checkCloudstack } from '../../../../http/endpoints/diagnostics';
import { cloudCheckReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(checkCloudstack, async ({ daemon }) =>
  cloudCheckReply(await daemon.diagnostics.cloudstack()),
);
