import { acceptOperation } from '../../../../../http/accept-operation';
import { revertVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(revertVolume, (request) =>
  acceptOperation(request, 'revert', {
    volume_id: request.params.id,
    snapshot_id: request.body.snapshot_id,
  }),
);
