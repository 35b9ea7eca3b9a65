import { acceptOperation } from '../../../../../http/accept-operation';
import { createSnapshot } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(createSnapshot, (request) => {
  const { name } = request.body;
  return acceptOperation(request, 'snapshot', { volume_id: request.params.id, ...(name ? { name } : {}) });
});
