import { retryOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(retryOperation, async ({ daemon, params }) =>
  operationReply(await daemon.operations.retry(params.id)),
);
