import { acceptOperation } from '../../../../../http/accept-operation';
import { detachVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(detachVolume, (request) => {
  const { force } = request.body;
  return acceptOperation(request, 'detach', {
    volume_id: request.params.id,
    ...(force != null && { force }),
  });
});
