import { acceptOperation } from '../../../../../http/accept-operation';
import { attachVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(attachVolume, (request) => {
  const { vm_id, expected_bytes } = request.body;
  return acceptOperation(request, 'attach', {
    volume_id: request.params.id,
    vm_id,
    ...(expected_bytes != null && { expected_bytes }),
  });
});
