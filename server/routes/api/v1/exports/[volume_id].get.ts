import { readExport } from '../../../../http/endpoints/exports';
import { exportReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(readExport, async ({ daemon, params }) => {
  const found = await daemon.exports.read(params.volume_id);
  const [active] = await daemon.traffic.describe([found]);
  return exportReply(found, active?.activity);
});
