import type { MetricsHistoryReply } from '../../../server/http/schemas/metrics-history';
import { api } from '../api';
import { byId } from '../dom';
import type { Reader } from '../live';
import type { Points } from './chart';

type Span = MetricsHistoryReply['span'];

/** A step of the hour is 20 s. */
const INTERVAL_MS = 20_000;

/** What the charts of a page are drawn from, and over which span: `?span=day` in the address. */
export class ChartHistory {
  history: MetricsHistoryReply | null = null;
  private span: Span = new URLSearchParams(location.search).get('span') === 'day' ? 'day' : 'hour';

  readonly reader: Reader = {
    everyMs: INTERVAL_MS,
    read: async () => {
      const asked = this.span;
      const history = await api.history(asked);
      // The answer to what was asked before the span was changed comes too late.
      if (asked === this.span) this.history = history;
    },
  };

  /** Lets the reader of the page choose the span; `onChange` reads it. */
  bind(onChange: () => void): void {
    const select = byId('chart-span', HTMLSelectElement);
    select.value = this.span;
    select.addEventListener('change', () => {
      this.span = select.value === 'day' ? 'day' : 'hour';
      const query = new URLSearchParams(location.search);
      if (this.span === 'hour') query.delete('span');
      else query.set('span', this.span);
      const search = query.size === 0 ? '' : `?${query}`;
      history.replaceState(null, '', `${location.pathname}${search}${location.hash}`);
      onChange();
    });
  }
}

/** When each step begins, in seconds since 1970. */
export function timesOf({ from, step_seconds, queue }: MetricsHistoryReply): number[] {
  const begin = Date.parse(from) / 1000;
  return queue.pending.map((_, index) => begin + index * step_seconds);
}

/** What is known at each step, added up; not known where nothing is. */
export function total(series: readonly Points[], length: number): (number | null)[] {
  return Array.from({ length }, (_, index) => {
    const known = series.flatMap((points) => points[index] ?? []);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
  });
}
