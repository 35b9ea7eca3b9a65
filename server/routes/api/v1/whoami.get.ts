import { whoami } from '../../../http/endpoints/service';
import { requireIdentity } from '../../../http/request/guard';
import { callerReply } from '../../../http/response/service-replies';
import { serve } from '../../../http/serve';

export default serve(whoami, ({ event }) => callerReply(requireIdentity(event)));
