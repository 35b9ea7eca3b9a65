import { docs } from '../http/endpoints/service';
import { DOCS } from '../http/pages/html-pages';
import { sendPage } from '../http/pages/send-page';
import { serve } from '../http/serve';

export default serve(docs, ({ event }) => sendPage(event, DOCS));
