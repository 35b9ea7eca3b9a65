import { waitAsAsked } from '../../../../../http/accept-operation';
import { readOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readOperation, async (request) => {
  const { operations } = request.daemon;
  const before = await operations.examined(request.params.id);
  const operation = await waitAsAsked(request, before);
  return operationReply(operation === before ? before : await operations.examined(operation.id));
});
