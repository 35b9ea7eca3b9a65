import { listDevices } from '../../../../http/endpoints/devices';
import { mappingReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(listDevices, async ({ daemon }) =>
  (await daemon.volumes.devices()).mappings.map(mappingReply),
);
