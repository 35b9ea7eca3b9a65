import { setResponseHeader } from 'h3';
import { docs } from '../http/endpoints/service';
import { DOCS } from '../http/pages/html-pages';
import { serve } from '../http/serve';

export default serve(docs, ({ event }) => {
  setResponseHeader(event, 'Content-Security-Policy', DOCS.policy);
  return DOCS.html;
});
