import { readVolume } from '../../../../../http/endpoints/volumes';
import { volumeReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readVolume, async ({ daemon, params }) =>
  volumeReply(await daemon.volumes.describe(params.id)),
);
