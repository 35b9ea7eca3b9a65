import { setResponseHeader } from 'h3';
import { index } from '../http/endpoints/service';
import { DASHBOARD } from '../http/pages/html-pages';
import { serve } from '../http/serve';

export default serve(index, ({ event }) => {
  setResponseHeader(event, 'Content-Security-Policy', DASHBOARD.policy);
  return DASHBOARD.html;
});
