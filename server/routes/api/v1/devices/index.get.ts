import { currentDaemon } from '../../../../daemon/current';
import { listDevices } from '../../../../http/endpoints/devices';
import { mappingReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(listDevices, async () =>
  (await currentDaemon().volumes.devices()).mappings.map(mappingReply),
);
