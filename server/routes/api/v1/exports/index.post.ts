import { publishExport } from '../../../../http/endpoints/exports';
import { callerOf } from '../../../../http/request/caller';
import { exportReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(publishExport, async ({ event, daemon, body }) => {
  const { volume_id, vm_name, vm_id, disk_number, read_only } = body;
  const metadata = {
    ...(vm_name && { vm_name }),
    ...(vm_id && { vm_id }),
    ...(disk_number && { disk_number }),
  };
  const options = { readOnly: read_only ?? false, caller: callerOf(event) };
  return exportReply(await daemon.exports.publish(volume_id, metadata, options));
});
