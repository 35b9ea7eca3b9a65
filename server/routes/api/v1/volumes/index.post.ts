import { accept } from '../../../../http/accept-operation';
import { createVolume } from '../../../../http/endpoints/volumes';
import { serve } from '../../../../http/serve';

export default serve(createVolume, (call) => {
  const { name, size, disk_offering_id, zone_id, metadata } = call.body;
  return accept(call, 'create', { name, size, disk_offering_id, zone_id, ...(metadata && { metadata }) });
});
