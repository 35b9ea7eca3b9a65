import { currentDaemon } from '../../../../../daemon/current';
import { cancelOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(cancelOperation, async ({ params }) =>
  operationReply(await currentDaemon().operations.cancel(params.id)),
);
