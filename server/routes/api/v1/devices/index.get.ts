import { setResponseHeader } from 'h3';
import { LIMITS } from '../../../../core/limits';
import { listDevices } from '../../../../http/endpoints/devices';
import { linkToNext } from '../../../../http/response/pagination';
import { mappingReply } from '../../../../http/response/replies';
import { mappingCursor } from '../../../../http/schemas/devices';
import { serve } from '../../../../http/serve';

export default serve(listDevices, async ({ event, daemon, query }) => {
  const { limit = LIMITS.MAPPINGS_DEFAULT, cursor = null } = query;
  const { mappings, next } = await daemon.volumes.devices(limit, cursor);
  if (next !== null) setResponseHeader(event, 'Link', linkToNext(event.path, mappingCursor(next)));
  return mappings.map(mappingReply);
});
