import { volumesPage } from '../../http/endpoints/service';
import { VOLUMES_PAGE } from '../../http/pages/html-pages';
import { sendPage } from '../../http/pages/send-page';
import { serve } from '../../http/serve';

export default serve(volumesPage, ({ event }) => sendPage(event, VOLUMES_PAGE));
