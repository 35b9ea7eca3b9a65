import { acceptOperation } from '../../../../http/accept-operation';
import { deleteSnapshot } from '../../../../http/endpoints/volumes';
import { serve } from '../../../../http/serve';

export default serve(deleteSnapshot, (request) =>
  acceptOperation(request, 'delete-snapshot', { snapshot_id: request.params.id }),
);
