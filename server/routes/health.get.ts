import { systemClock } from '../core/clock';
import { currentDaemonOrNull } from '../daemon/current';
import { alive } from '../http/endpoints/service';
import { aliveReply } from '../http/response/service-replies';
import { serve } from '../http/serve';

export default serve(alive, () => aliveReply(currentDaemonOrNull(), systemClock.now()));
