import { listVmVolumes } from '../../../../../http/endpoints/volumes';
import { vmVolumeReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(listVmVolumes, async ({ daemon, params }) =>
  (await daemon.volumes.ofVm(params.id)).map(vmVolumeReply),
);
