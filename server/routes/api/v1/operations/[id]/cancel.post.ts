import { cancelOperation } from '../../../../../http/endpoints/operations';
import { callerOf } from '../../../../../http/request/caller';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(cancelOperation, async ({ event, daemon, params }) =>
  operationReply(await daemon.operations.cancel(params.id, callerOf(event))),
);
