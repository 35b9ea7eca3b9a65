import { listVmVolumes } from '../../../../../http/endpoints/volumes';
import { vmVolumeReply } from '../../../../../http/replies';
import { serve } from '../../../../../http/serve';
import { currentDaemon } from '../../../../../runtime/current';

export default serve(listVmVolumes, async ({ params }) =>
  (await currentDaemon().volumes.ofVm(params.id)).map(vmVolumeReply),
);
