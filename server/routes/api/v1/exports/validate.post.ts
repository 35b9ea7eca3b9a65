import { validateExports } from '../../../../http/endpoints/exports';
import { validateReply } from '../../../../http/replies';
import { serve } from '../../../../http/serve';
import { systemClock } from '../../../../runtime/clock';
import { currentDaemon } from '../../../../runtime/current';

export default serve(validateExports, async () =>
  validateReply(await currentDaemon().exports.validate(), systemClock.now()),
);
