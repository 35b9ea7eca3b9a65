import { listZones } from '../../../../http/endpoints/diagnostics';
import { zoneReply } from '../../../../http/response/diagnostic-replies';
import { serve } from '../../../../http/serve';

export default serve(listZones, async ({ daemon }) => (await daemon.diagnostics.zones()).map(zoneReply));
