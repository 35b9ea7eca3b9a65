import { databaseCheckReply } from '../../../../http/diagnostic-replies';
import { checkDatabase } from '../../../../http/endpoints/diagnostics';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';

export default serve(checkDatabase, async () =>
  databaseCheckReply(await currentDaemon().diagnostics.database()),
);
