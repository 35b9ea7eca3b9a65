import { listExports } from '../../../../http/endpoints/exports';
import { exportReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(listExports, async ({ daemon, query }) => {
  const { volume_id, status, vm_name, limit } = query;
  const records = await daemon.exports.list({
    ...(volume_id && { volumeId: volume_id }),
    ...(status && { status }),
    ...(vm_name && { vmName: vm_name }),
    ...(limit && { limit }),
  });
  const active = await daemon.traffic.describe(records);
  return active.map(({ record, activity }) => exportReply(record, activity));
});
