import { cancelOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/replies';
import { serve } from '../../../../../http/serve';
import { currentDaemon } from '../../../../../runtime/current';

export default serve(cancelOperation, async ({ params }) =>
  operationReply(await currentDaemon().operations.cancel(params.id)),
);
