import { accept } from '../../../../../http/accept-operation';
import { attachRootVolume } from '../../../../../http/endpoints/volumes';
import { serve } from '../../../../../http/serve';

export default serve(attachRootVolume, (call) =>
  accept(call, 'attach', {
    volume_id: call.params.id,
    vm_id: call.body.vm_id,
    device_id: 0,
    attach_as: 'root',
  }),
);
