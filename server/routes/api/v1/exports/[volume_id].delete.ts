import { withdrawExport } from '../../../../http/endpoints/exports';
import { callerOf } from '../../../../http/request/caller';
import { serve } from '../../../../http/serve';

export default serve(withdrawExport, async ({ event, daemon, params, query, body }) => {
  const force = query.force ?? body.force ?? false;
  const { existed } = await daemon.exports.withdraw(params.volume_id, { force, caller: callerOf(event) });
  return { message: existed ? 'NBD export deleted' : 'There was no NBD export', existed };
});
