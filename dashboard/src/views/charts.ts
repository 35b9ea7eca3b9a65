import { durationText, sizeText } from '../../../cli/output/units';
import type { MetricsHistoryReply } from '../../../server/http/schemas/metrics-history';
import { type Chart, chart } from '../charts/chart';
import { type ChartHistory, timesOf, total } from '../charts/history';
import { byId } from '../dom';
import { figureText } from '../format';
import type { Live } from '../live';
import { showStale } from '../stale';

const FLOWS = [
  { label: 'written', tone: 'busy' },
  { label: 'read', tone: 'idle' },
] as const;

const rate = (value: number): string => `${sizeText(value)}/s`;

/** The charts of the first page. */
export function chartsView(live: Live, charts: ChartHistory): () => void {
  const ended = chart(
    'Operations that ended',
    [
      { label: 'completed', tone: 'good' },
      { label: 'failed', tone: 'bad' },
      { label: 'cancelled', tone: 'idle' },
    ],
    figureText,
  );
  const durations = chart(
    'How long they took',
    [
      { label: 'mean', tone: 'busy' },
      { label: 'longest', tone: 'idle' },
    ],
    durationText,
  );
  const queue = chart(
    'Queue',
    [
      { label: 'running', tone: 'busy' },
      { label: 'waiting', tone: 'idle' },
    ],
    figureText,
  );
  const flow = chart('Bytes a second, exports together', FLOWS, rate);
  return drawn(live, charts, [ended, durations, queue, flow], (history) => {
    const times = timesOf(history);
    const { operations, duration_ms, exports } = history;
    ended.update(times, [operations.completed, operations.failed, operations.cancelled]);
    durations.update(times, [duration_ms.mean, duration_ms.longest]);
    queue.update(times, [history.queue.executing, history.queue.pending]);
    const of = (name: 'written_bytes_per_second' | 'read_bytes_per_second') =>
      total(
        exports.map((exported) => exported[name]),
        times.length,
      );
    flow.update(times, [of('written_bytes_per_second'), of('read_bytes_per_second')]);
  });
}

/** What flows through the export of one volume. */
export function flowView(live: Live, charts: ChartHistory, volumeId: string): () => void {
  const flow = chart('Bytes a second', FLOWS, rate);
  return drawn(live, charts, [flow], (history) => {
    const times = timesOf(history);
    const found = history.exports.find(({ volume_id }) => volume_id === volumeId);
    const nothing = times.map(() => null);
    flow.update(times, [found?.written_bytes_per_second ?? nothing, found?.read_bytes_per_second ?? nothing]);
  });
}

/** Draws when there is something new to draw. */
function drawn(
  live: Live,
  charts: ChartHistory,
  elements: readonly Chart[],
  draw: (history: MetricsHistoryReply) => void,
): () => void {
  byId('chart-list').append(...elements.map(({ element }) => element));
  charts.bind(() => live.invalidate('charts'));
  let shown: MetricsHistoryReply | null = null;
  return () => {
    showStale('chart', live.part('charts'));
    const { history } = charts;
    if (history === null || history === shown) return;
    shown = history;
    draw(history);
  };
}
