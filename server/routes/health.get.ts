import { alive } from '../http/endpoints/service';
import { serve } from '../http/serve';
import { aliveReply } from '../http/service-replies';
import { systemClock } from '../runtime/clock';
import { currentDaemonOrNull } from '../runtime/current';

export default serve(alive, () => aliveReply(currentDaemonOrNull(), systemClock.now()));
