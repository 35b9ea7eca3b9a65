import { currentDaemon } from '../../../../daemon/current';
import { readExport } from '../../../../http/endpoints/exports';
import { exportReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(readExport, async ({ params }) =>
  exportReply(await currentDaemon().exports.read(params.volume_id)),
);
