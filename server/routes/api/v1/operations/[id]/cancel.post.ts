import { cancelOperation } from '../../../../../http/endpoints/operations';
import { operationReply } from '../../../../../http/response/replies';
import { serve } from '../../../../../http/serve';

export default serve(cancelOperation, async ({ daemon, params }) =>
  operationReply(await daemon.operations.cancel(params.id)),
);
