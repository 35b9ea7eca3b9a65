import { waitAsAsked } from '../../../../../http/accept-operation';
import { readOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readOperation, async (request) => {
  const operation = await request.daemon.operations.read(request.params.id);
  return operationReply(await waitAsAsked(request, operation));
});
