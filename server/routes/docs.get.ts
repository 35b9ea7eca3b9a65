import { setResponseHeader } from 'h3';
import { docs } from '../http/endpoints/service';
import { docsPage } from '../http/pages';
import { serve } from '../http/serve';
import { currentDaemon } from '../runtime/current';

export default serve(docs, ({ event }) => {
  const { html, policy } = docsPage(currentDaemon().version);
  setResponseHeader(event, 'Content-Security-Policy', policy);
  return html;
});
