import { publishExport } from '../../../../http/endpoints/exports';
import { exportReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(publishExport, async ({ daemon, body }) => {
  const { volume_id, vm_name, vm_id, disk_number, read_only } = body;
  const metadata = {
    ...(vm_name && { vm_name }),
    ...(vm_id && { vm_id }),
    ...(disk_number && { disk_number }),
  };
  return exportReply(await daemon.exports.publish(volume_id, metadata, { readOnly: read_only ?? false }));
});
