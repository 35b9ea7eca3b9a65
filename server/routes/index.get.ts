import { index } from '../http/endpoints/service';
import { DASHBOARD } from '../http/pages/html-pages';
import { sendPage } from '../http/pages/send-page';
import { serve } from '../http/serve';

export default serve(index, ({ event }) => sendPage(event, DASHBOARD));
