import { accept } from '../../../../../http/accept-operation';
import { attachVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(attachVolume, (call) =>
  accept(call, 'attach', { volume_id: call.params.id, vm_id: call.body.vm_id }),
);
