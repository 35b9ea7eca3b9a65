import { acceptOperation } from '../../../../../http/accept-operation';
import { attachRootVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(attachRootVolume, (request) =>
  acceptOperation(request, 'attach', {
    volume_id: request.params.id,
    vm_id: request.body.vm_id,
    device_id: 0,
    attach_as: 'root',
  }),
);
