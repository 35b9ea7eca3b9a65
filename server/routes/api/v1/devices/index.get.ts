import { listDevices } from '../../../../http/endpoints/devices';
import { mappingReply } from '../../../../http/replies';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';

export default serve(listDevices, async () =>
  (await currentDaemon().volumes.devices()).mappings.map(mappingReply),
);
