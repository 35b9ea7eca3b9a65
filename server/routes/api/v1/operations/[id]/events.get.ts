import { currentDaemon } from '../../../../../daemon/current';
import { streamOperation as endpoint } from '../../../../../http/endpoints/operations';
import { serve } from '../../../../../http/serve';
import { lastEventId, streamOperation } from '../../../../../http/streams/journal-streams';

export default serve(endpoint, ({ event, params, query }) =>
  streamOperation(event, currentDaemon(), params.id, lastEventId(event, query) ?? 0),
);
