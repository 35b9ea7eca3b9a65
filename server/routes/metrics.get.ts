import { setResponseHeader } from 'h3';
import { prometheus } from '../http/endpoints/service';
import { serve } from '../http/serve';

export default serve(prometheus, async ({ daemon, event }) => {
  const { contentType, body } = await daemon.reports.prometheus();
  setResponseHeader(event, 'Content-Type', contentType);
  return body;
});
