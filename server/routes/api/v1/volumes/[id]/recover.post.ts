import { acceptOperation } from '../../../../../http/accept-operation';
import { recoverVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(recoverVolume, (request) =>
  acceptOperation(request, 'recover', { volume_id: request.params.id }),
);
