import { abandonOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(abandonOperation, async ({ daemon, params }) =>
  operationReply(await daemon.operations.abandon(params.id)),
);
