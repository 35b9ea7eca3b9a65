import { setResponseHeader } from 'h3';
import { prometheus } from '../http/endpoints/service';
import { serve } from '../http/serve';
import { currentDaemon } from '../runtime/current';

export default serve(prometheus, async ({ event }) => {
  const { contentType, body } = await currentDaemon().prometheus();
  setResponseHeader(event, 'Content-Type', contentType);
  return body;
});
