import { currentDaemon } from '../../../../../daemon/current';
import { readVolumeDevice } from '../../../../../http/endpoints/volumes';
import { mappingReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readVolumeDevice, async ({ params }) =>
  mappingReply(await currentDaemon().volumes.mapping(params.id)),
);
