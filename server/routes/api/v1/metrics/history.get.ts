import { metricsHistory } from '../../../../http/endpoints/service';
import { metricsHistoryReply } from '../../../../http/response/metrics-history-reply';
import { serve } from '../../../../http/serve';

export default serve(metricsHistory, ({ daemon, query: { span = 'hour' } }) =>
  metricsHistoryReply(daemon.reports.history(span)),
);
