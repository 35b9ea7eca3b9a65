import { setResponseHeader } from 'h3';
import { listVmVolumes } from '../../../../../http/endpoints/volumes';
import { headerText } from '../../../../../http/response/header-text';
import { vmVolumeReply } from '../../../../../http/response/replies';
import { INCOMPLETE_HEADER } from '../../../../../http/schemas/volumes';
import { serve } from '../../../../../http/serve';

export default serve(listVmVolumes, async ({ daemon, params, event }) => {
  if (params.id === '') return [];
  const { volumes, incomplete } = await daemon.volumes.ofVm(params.id);
  if (incomplete !== null) setResponseHeader(event, INCOMPLETE_HEADER, headerText(incomplete));
  return volumes.map(vmVolumeReply);
});
