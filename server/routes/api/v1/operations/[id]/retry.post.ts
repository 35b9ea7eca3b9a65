import { retryOperation } from '../../../../../http/endpoints/operations';
import { callerOf } from '../../../../../http/request/caller';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(retryOperation, async ({ event, daemon, params }) =>
  operationReply(await daemon.operations.retry(params.id, callerOf(event))),
);
