import { setResponseHeader } from 'h3';
import { currentDaemon } from '../daemon/current';
import { prometheus } from '../http/endpoints/service';
import { serve } from '../http/serve';

export default serve(prometheus, async ({ event }) => {
  const { contentType, body } = await currentDaemon().prometheus();
  setResponseHeader(event, 'Content-Type', contentType);
  return body;
});
