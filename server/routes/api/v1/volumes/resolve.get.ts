import { resolveVolume } from '../../../../http/endpoints/volumes';
import { resolvedVolumeReply } from '../../../../http/response/volume-list-reply';
import { serve } from '../../../../http/serve';

export default serve(resolveVolume, async ({ daemon, query }) =>
  resolvedVolumeReply(await daemon.volumes.resolve(query.ref)),
);
