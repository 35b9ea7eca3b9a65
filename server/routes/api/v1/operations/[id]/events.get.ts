import { streamOperation as endpoint } from '../../../../../http/endpoints/operations';
import { serve } from '../../../../../http/serve';
import { lastEventId, streamOperation } from '../../../../../http/streams/journal-streams';

export default serve(endpoint, ({ event, daemon, params, query }) =>
  streamOperation(event, daemon, params.id, lastEventId(event, query) ?? 0),
);
