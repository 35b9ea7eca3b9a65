import { checkDatabase } from '../../../../http/endpoints/diagnostics';
import { databaseCheckReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(checkDatabase, async ({ daemon }) =>
  databaseCheckReply(await daemon.diagnostics.database()),
);
