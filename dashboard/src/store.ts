import type { EventSourceMessage } from 'eventsource-parser';
import type { JournalEntryReply } from '../../server/http/schemas/operations';
import type { TrafficEventReply } from '../../server/http/schemas/traffic';
import { api } from './api';
import { ChartHistory } from './charts/history';
import { type Filter, filterOf, HISTORY_MAX, searchOf } from './filter';
import { Journals } from './journals';
import { Live } from './live';
import { VolumeNames } from './names';
import type { State } from './state';

const INTERVAL_MS = 30_000;
const ACTIVE_MAX = 200;
/** What failed within this time is told by the verdict. */
const FAILURES_MS = 3_600_000;
export const FAILURES_MAX = 100;

/** The last answers of the daemon, as the first page shows them. */
export class Store {
  readonly state: State = {
    active: [],
    failures: [],
    history: [],
    hasMore: false,
    devices: [],
    exports: [],
  };
  readonly charts = new ChartHistory();
  filter: Filter = filterOf(location.search);
  readonly live: Live;
  readonly journals: Journals;
  readonly names: VolumeNames;

  constructor(changed: () => void) {
    this.journals = new Journals(changed);
    this.names = new VolumeNames(changed);
    this.live = new Live({
      readers: {
        operations: { everyMs: INTERVAL_MS, read: () => this.readOperations() },
        failures: { everyMs: INTERVAL_MS, read: () => this.readFailures() },
        resources: { everyMs: INTERVAL_MS, read: () => this.readResources() },
        charts: this.charts.reader,
      },
      onEvent: (event) => this.eventReceived(event),
      changed,
    });
    window.addEventListener('popstate', () => {
      this.filter = filterOf(location.search);
      this.live.invalidate('operations');
      changed();
    });
  }

  setFilter(change: Partial<Filter>): void {
    this.filter = { ...this.filter, ...change };
    const address = `${location.pathname}${searchOf(this.filter, location.search)}${location.hash}`;
    history.replaceState(null, '', address);
    this.live.invalidate('operations');
  }

  showMore(): void {
    this.setFilter({ limit: Math.min(HISTORY_MAX, this.filter.limit * 2) });
  }

  private eventReceived({ event, data }: EventSourceMessage): void {
    if (event === 'operation') {
      const entry: JournalEntryReply = JSON.parse(data);
      this.journals.keep(entry);
      this.live.invalidate('operations');
      if (entry.step !== 'operation' && entry.state === 'done') this.live.invalidate('resources');
      if (entry.state === 'completed' || entry.state === 'failed')
        this.live.invalidate('resources', 'health', 'failures');
    } else if (event === 'traffic') this.trafficReceived(JSON.parse(data));
    else this.live.invalidate('resources', 'health');
  }

  /** It holds the daemon's whole answer about this export: reading everything again would tell no more. */
  private trafficReceived({ volume_id, traffic }: TrafficEventReply): void {
    this.state.exports = this.state.exports.map((exported) =>
      exported.volume_id === volume_id ? { ...exported, traffic } : exported,
    );
  }

  private async readOperations(): Promise<void> {
    const { limit, ...filter } = this.filter;
    const [executing, pending, history] = await Promise.all([
      api.operations({ status: 'executing', limit: ACTIVE_MAX }),
      api.operations({ status: 'pending', limit: ACTIVE_MAX }),
      api.operations({ ...filter, limit: Math.min(limit + 1, HISTORY_MAX) }),
    ]);
    this.state.active = [...executing.reverse(), ...pending.reverse()];
    this.state.hasMore = history.length > limit;
    this.state.history = history.slice(0, limit);
    for (const operation of [...executing, ...history]) this.names.learnFrom(operation);
    for (const { id } of executing) void this.journals.need(id);
  }

  private async readFailures(): Promise<void> {
    // By the clock of the daemon, from the first reading on: that of the browser may be wrong.
    const { timestamp } = this.live.health ?? (await api.health());
    const since = String(Date.parse(timestamp) - FAILURES_MS);
    this.state.failures = await api.operations({ status: 'failed', since, limit: FAILURES_MAX });
  }

  private async readResources(): Promise<void> {
    [this.state.devices, this.state.exports] = await Promise.all([api.devices(), api.exports()]);
    this.names.askAll(this.state.devices.map(({ volume_id }) => volume_id));
  }
}
