import { listSnapshots } from '../../../../../http/endpoints/volumes';
import { snapshotReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(listSnapshots, async ({ daemon, params }) =>
  (await daemon.volumes.snapshots(params.id)).map(snapshotReply),
);
