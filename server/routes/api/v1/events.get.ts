import { currentDaemon } from '../../../daemon/current';
import { streamEvents } from '../../../http/endpoints/operations';
import { serve } from '../../../http/serve';
import { lastEventId, streamFeed } from '../../../http/streams/journal-streams';

export default serve(streamEvents, ({ event, query }) =>
  streamFeed(event, currentDaemon(), lastEventId(event, query)),
);
