import { acceptOperation } from '../../../../../http/accept-operation';
import { attachVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(attachVolume, (request) =>
  acceptOperation(request, 'attach', { volume_id: request.params.id, vm_id: request.body.vm_id }),
);
