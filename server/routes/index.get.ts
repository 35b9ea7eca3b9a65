import { setResponseHeader } from 'h3';
import { index } from '../http/endpoints/service';
import { indexPage } from '../http/pages';
import { serve } from '../http/serve';
import { currentDaemon } from '../runtime/current';

export default serve(index, ({ event }) => {
  const { html, policy } = indexPage(currentDaemon().version);
  setResponseHeader(event, 'Content-Security-Policy', policy);
  return html;
});
