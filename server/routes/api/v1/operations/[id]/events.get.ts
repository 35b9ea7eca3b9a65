import { streamOperation as endpoint } from '../../../../../http/endpoints/operations';
import { lastEventId, streamOperation } from '../../../../../http/feed';
import { serve } from '../../../../../http/serve';
import { currentDaemon } from '../../../../../runtime/current';

export default serve(endpoint, ({ event, params, query }) =>
  streamOperation(event, currentDaemon(), params.id, lastEventId(event, query) ?? 0),
);
