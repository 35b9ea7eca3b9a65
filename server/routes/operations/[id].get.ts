import { operationPage } from '../../http/endpoints/service';
import { OPERATION_PAGE } from '../../http/pages/html-pages';
import { sendPage } from '../../http/pages/send-page';
import { serve } from '../../http/serve';

export default serve(operationPage, ({ event }) => sendPage(event, OPERATION_PAGE));
