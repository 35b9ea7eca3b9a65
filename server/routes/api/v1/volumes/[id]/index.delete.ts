import { accept } from '../../../../../http/accept-operation';
import { deleteVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(deleteVolume, (call) => {
  const { force } = call.body;
  return accept(call, 'delete', { volume_id: call.params.id, ...(force != null && { force }) });
});
