import { systemClock } from '../../../../core/clock';
import { currentDaemon } from '../../../../daemon/current';
import { validateExports } from '../../../../http/endpoints/exports';
import { validateReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(validateExports, async () =>
  validateReply(await currentDaemon().exports.validate(), systemClock.now()),
);
