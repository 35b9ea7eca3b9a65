import { streamEvents } from '../../../http/endpoints/operations';
import { serve } from '../../../http/serve';
import { lastEventId, streamFeed } from '../../../http/streams/journal-streams';

export default serve(streamEvents, ({ event, daemon, query }) =>
  streamFeed(event, daemon, lastEventId(event, query)),
);
