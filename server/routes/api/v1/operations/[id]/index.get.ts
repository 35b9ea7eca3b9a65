import { currentDaemon } from '../../../../../daemon/current';
import { waited } from '../../../../../http/accept-operation';
import { readOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(readOperation, async (call) => {
  const operation = await currentDaemon().operations.read(call.params.id);
  return operationReply(await waited(call, operation));
});
