import { accept } from '../../../../../http/accept-operation';
import { detachVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(detachVolume, (call) => {
  const { force } = call.body;
  return accept(call, 'detach', { volume_id: call.params.id, ...(force != null && { force }) });
});
