import { withdrawExport } from '../../../../http/endpoints/exports';
import { serve } from '../../../../http/serve';

export default serve(withdrawExport, async ({ daemon, params, query, body }) => {
  const force = query.force ?? body.force ?? false;
  const { existed } = await daemon.exports.withdraw(params.volume_id, { force });
  return { message: existed ? 'NBD export deleted' : 'There was no NBD export', existed };
});
