import { systemClock } from '../../../../core/clock';
import { validateExports } from '../../../../http/endpoints/exports';
import { exportValidationReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(validateExports, async ({ daemon }) =>
  exportValidationReply(await daemon.exports.validate(), systemClock.now()),
);
