import { readVolume } from '../../../../../http/endpoints/volumes';
import { volumeReply } from '../../../../../http/replies';
import { serve } from '../../../../../http/serve';
import { currentDaemon } from '../../../../../runtime/current';

export default serve(readVolume, async ({ params }) =>
  volumeReply(await currentDaemon().volumes.describe(params.id)),
);
