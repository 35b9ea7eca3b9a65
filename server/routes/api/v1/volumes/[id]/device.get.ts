import { readVolumeDevice } from '../../../../../http/endpoints/volumes';
import { mappingReply } from '../../../../../http/replies';
import { serve } from '../../../../../http/serve';
import { currentDaemon } from '../../../../../runtime/current';

export default serve(readVolumeDevice, async ({ params }) =>
  mappingReply(await currentDaemon().volumes.mapping(params.id)),
);
