import { acceptOperation } from '../../../../http/accept-operation';
import { createVolume } from '../../../../http/endpoints/volumes';
import { serve } from '../../../../http/serve';

export default serve(createVolume, (request) => {
  const { name, size, disk_offering_id, zone_id, metadata } = request.body;
  return acceptOperation(request, 'create', {
    name,
    size,
    disk_offering_id,
    zone_id,
    ...(metadata && { metadata }),
  });
});
