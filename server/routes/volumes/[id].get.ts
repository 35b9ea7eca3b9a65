import { volumePage } from '../../http/endpoints/service';
import { VOLUME_PAGE } from '../../http/pages/html-pages';
import { sendPage } from '../../http/pages/send-page';
import { serve } from '../../http/serve';

export default serve(volumePage, ({ event }) => sendPage(event, VOLUME_PAGE));
