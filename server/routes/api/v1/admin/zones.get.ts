import { zoneReply } from '../../../../http/diagnostic-replies';
import { listZones } from '../../../../http/endpoints/diagnostics';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';

export default serve(listZones, async () => (await currentDaemon().diagnostics.zones()).map(zoneReply));
