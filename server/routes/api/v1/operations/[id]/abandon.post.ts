import { abandonOperation } from '../../../../../http/endpoints/operations';
import { callerOf } from '../../../../../http/request/caller';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(abandonOperation, async ({ event, daemon, params }) =>
  operationReply(await daemon.operations.abandon(params.id, callerOf(event))),
);
