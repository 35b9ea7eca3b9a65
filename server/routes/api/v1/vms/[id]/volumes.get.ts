import { currentDaemon } from '../../../../../daemon/current';
import { listVmVolumes } from '../../../../../http/endpoints/volumes';
import { vmVolumeReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(listVmVolumes, async ({ params }) =>
  (await currentDaemon().volumes.ofVm(params.id)).map(vmVolumeReply),
);
