import { waited } from '../../../../../http/accept';
import { readOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/replies';
import { serve } from '../../../../../http/serve';
import { currentDaemon } from '../../../../../runtime/current';

export default serve(readOperation, async (call) => {
  const operation = await currentDaemon().operations.read(call.params.id);
  return operationReply(await waited(call, operation));
});
