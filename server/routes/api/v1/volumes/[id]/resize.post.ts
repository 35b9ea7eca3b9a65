import { acceptOperation } from '../../../../../http/accept-operation';
import { resizeVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(resizeVolume, (request) =>
  acceptOperation(request, 'resize', { volume_id: request.params.id, size: request.body.size }),
);
