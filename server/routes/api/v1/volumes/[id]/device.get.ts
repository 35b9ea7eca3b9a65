import { readVolumeDevice } from '../../../../../http/endpoints/volumes';
import { mappingReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readVolumeDevice, async ({ daemon, params }) =>
  mappingReply(await daemon.volumes.mapping(params.id)),
);
