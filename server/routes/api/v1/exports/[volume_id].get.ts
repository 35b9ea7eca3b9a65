import { readExport } from '../../../../http/endpoints/exports';
import { exportReply } from '../../../../http/replies';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';

export default serve(readExport, async ({ params }) =>
  exportReply(await currentDaemon().exports.read(params.volume_id)),
);
