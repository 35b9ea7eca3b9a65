import { waitAsAsked } from '../../../../../http/accept-operation';
import { readOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readOperation, async (request) => {
  const { operations } = request.daemon;
  const operation = await waitAsAsked(request, await operations.read(request.params.id));
  return operationReply(await operations.examined(operation));
});
