import { streamEvents } from '../../../http/endpoints/operations';
import { lastEventId, streamFeed } from '../../../http/feed';
import { serve } from '../../../http/serve';
import { currentDaemon } from '../../../runtime/current';

export default serve(streamEvents, ({ event, query }) =>
  streamFeed(event, currentDaemon(), lastEventId(event, query)),
);
