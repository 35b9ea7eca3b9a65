import { withdrawExport } from '../../../../http/endpoints/exports';
import { callerOf } from '../../../../http/request/caller';
import { serve } from '../../../../http/serve';

export default serve(withdrawExport, async ({ event, daemon, params, query, body }) => {
  const said = [query.force, body.force];
  // Who says both, in the query and in the body, cuts nobody.
  const force = said.includes(true) && !said.includes(false);
  const { existed } = await daemon.exports.withdraw(params.volume_id, { force, caller: callerOf(event) });
  return { message: existed ? 'NBD export deleted' : 'There was no NBD export', existed };
});
