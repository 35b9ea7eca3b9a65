import { acceptOperation } from '../../../../../http/accept-operation';
import { deleteVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(deleteVolume, (request) => {
  const { force } = request.body;
  return acceptOperation(request, 'delete', {
    volume_id: request.params.id,
    ...(force != null && { force }),
  });
});
