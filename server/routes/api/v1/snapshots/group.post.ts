import { acceptOperation } from '../../../../http/accept-operation';
import { createSnapshotGroup } from '../../../../http/endpoints/volumes';
import { serve } from '../../../../http/serve';

export default serve(createSnapshotGroup, (request) => {
  const { name, ...body } = request.body;
  return acceptOperation(request, 'snapshot-group', { ...body, ...(name ? { name } : {}) });
});
