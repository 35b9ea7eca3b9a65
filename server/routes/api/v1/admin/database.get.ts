import { currentDaemon } from '../../../../daemon/current';
import { checkDatabase } from '../../../../http/endpoints/diagnostics';
import { databaseCheckReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(checkDatabase, async () =>
  databaseCheckReply(await currentDaemon().diagnostics.database()),
);
