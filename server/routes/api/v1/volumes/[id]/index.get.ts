import { currentDaemon } from '../../../../../daemon/current';
import { readVolume } from '../../../../../http/endpoints/volumes';
import { volumeReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readVolume, async ({ params }) =>
  volumeReply(await currentDaemon().volumes.describe(params.id)),
);
