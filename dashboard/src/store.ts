import type { EventSourceMessage } from 'eventsource-parser';
import { ApiError } from '../../cli/client/errors';
import { journalSoFar } from '../../cli/client/journal';
import type { JournalEntryReply, OperationReply } from '../../server/http/schemas/operations';
import type { TrafficEventReply } from '../../server/http/schemas/traffic';
import { api, token } from './api';
import { openStream } from './event-stream';
import { Feed } from './feed';
import type { FeedState, HistoryFilter, Part, PartState, State } from './state';

const UNREAD: PartState = { answeredAtMs: 0, failed: null };

const HEALTH_INTERVAL_MS = 5_000;
const RESOURCES_INTERVAL_MS = 30_000;
/** A burst of events causes one refresh in this time. */
const REFRESH_DELAY_MS = 250;
const ACTIVE_MAX = 200;
const JOURNALS_MAX = 300;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
export const HISTORY_PAGE = 25;
const HISTORY_MAX = 1000;

/**
 * The last answers of the daemon. An event only says *that* something has happened; the resources are then
 * read again, so the page never shows a state that the daemon has not answered with.
 */
export class Store {
  readonly state: State = {
    connection: 'connecting',
    answeredAtMs: 0,
    needsToken: false,
    parts: { health: UNREAD, operations: UNREAD, resources: UNREAD },
    health: null,
    active: [],
    history: [],
    hasMore: false,
    devices: [],
    exports: [],
    filter: { type: '', status: '', text: '', limit: HISTORY_PAGE },
  };
  private readonly journals = new Map<string, Map<number, JournalEntryReply>>();
  private readonly complete = new Set<string>();
  private readonly names = new Map<string, string>();
  /** Requests of names, one after the other. */
  private naming: Promise<void> = Promise.resolve();
  private readonly dirty = new Set<Part>();
  private readonly refreshing = new Set<Part>();
  private timer: number | null = null;
  private readonly feed: Feed;

  constructor(private readonly changed: () => void) {
    this.feed = new Feed({
      onState: (connection) => this.connectionChanged(connection),
      onEvent: (event) => this.eventReceived(event),
      onRefused: (error) => this.failed(error),
    });
  }

  start(): void {
    this.feed.start();
    this.refresh();
    window.setInterval(() => this.invalidate('health'), HEALTH_INTERVAL_MS);
    window.setInterval(() => this.invalidate('resources', 'operations'), RESOURCES_INTERVAL_MS);
    document.addEventListener('visibilitychange', () => this.schedule());
  }

  /** A token was entered. */
  unlock(): void {
    this.state.needsToken = false;
    this.feed.start();
    this.refresh();
  }

  filter(change: Partial<HistoryFilter>): void {
    this.state.filter = { ...this.state.filter, ...change };
    this.invalidate('operations');
    this.changed();
  }

  showMore(): void {
    this.filter({ limit: Math.min(HISTORY_MAX, this.state.filter.limit * 2) });
  }

  /** Reads everything again. */
  refresh(): void {
    this.invalidate('health', 'operations', 'resources');
  }

  /** The name of a volume, empty while it is unknown. */
  nameOf(volumeId: string): string {
    return this.names.get(volumeId) ?? '';
  }

  journalOf(operationId: string): JournalEntryReply[] {
    return [...(this.journals.get(operationId)?.values() ?? [])];
  }

  /** Loads the journal of an operation unless it is complete from its first entry. */
  async needJournal(operationId: string): Promise<void> {
    if (this.complete.has(operationId)) return;
    this.complete.add(operationId);
    const path = `/api/v1/operations/${encodeURIComponent(operationId)}/events`;
    try {
      for (const entry of await journalSoFar((signal) => openStream(path, { signal }))) this.keep(entry);
    } catch {
      this.complete.delete(operationId);
    }
    this.changed();
  }

  private connectionChanged(connection: FeedState): void {
    const was = this.state.connection;
    this.state.connection = connection;
    if (connection === 'live') this.refresh();
    if (connection !== was) this.changed();
  }

  private eventReceived({ event, data }: EventSourceMessage): void {
    if (event === 'operation') {
      const entry: JournalEntryReply = JSON.parse(data);
      this.keep(entry);
      this.invalidate('operations');
      if (entry.step !== 'operation' && entry.state === 'done') this.invalidate('resources');
      if (entry.state === 'completed' || entry.state === 'failed') this.invalidate('resources', 'health');
    } else if (event === 'traffic') this.trafficReceived(JSON.parse(data));
    else this.invalidate('resources', 'health');
    this.changed();
  }

  /** It holds the daemon's whole answer about this export: reading everything again would tell no more. */
  private trafficReceived({ volume_id, traffic }: TrafficEventReply): void {
    this.state.exports = this.state.exports.map((exported) =>
      exported.volume_id === volume_id ? { ...exported, traffic } : exported,
    );
  }

  private keep(entry: JournalEntryReply): void {
    const known = this.journals.get(entry.operation_id) ?? new Map<number, JournalEntryReply>();
    known.set(entry.sequence, entry);
    this.journals.set(entry.operation_id, known);
    if (known.has(1)) this.complete.add(entry.operation_id);
    for (const oldest of this.journals.keys()) {
      if (this.journals.size <= JOURNALS_MAX) break;
      this.journals.delete(oldest);
      this.complete.delete(oldest);
    }
  }

  private invalidate(...parts: Part[]): void {
    for (const part of parts) this.dirty.add(part);
    this.schedule();
  }

  /** A hidden page sends no requests; it catches up when it becomes visible. */
  private schedule(): void {
    if (this.timer !== null || this.dirty.size === 0 || document.hidden || this.state.needsToken) return;
    this.timer = window.setTimeout(() => {
      this.timer = null;
      for (const part of [...this.dirty]) if (!this.refreshing.has(part)) void this.read(part);
    }, REFRESH_DELAY_MS);
  }

  private async read(part: Part): Promise<void> {
    this.dirty.delete(part);
    this.refreshing.add(part);
    const asked = token.get();
    try {
      await this.readers[part]();
      this.state.answeredAtMs = Date.now();
      this.noted(part, { answeredAtMs: this.state.answeredAtMs, failed: null });
    } catch (error) {
      // A request from before the token was entered may be refused after it: the token may still be right.
      if (token.get() === asked) this.failed(error);
      const { answeredAtMs, failed } = this.state.parts[part];
      const sinceMs = failed?.sinceMs ?? Date.now();
      this.noted(part, { answeredAtMs, failed: { sinceMs, why: reasonOf(error) } });
    } finally {
      this.refreshing.delete(part);
      this.changed();
      this.schedule();
    }
  }

  private noted(part: Part, now: PartState): void {
    this.state.parts = { ...this.state.parts, [part]: now };
  }

  private readonly readers: Readonly<Record<Part, () => Promise<void>>> = {
    health: async () => {
      const was = this.state.health?.database_health;
      this.state.health = await api.health();
      const changed = was !== undefined && was !== this.state.health.database_health;
      const rest = (['operations', 'resources'] as const).filter(
        (part) => changed || this.state.parts[part].failed !== null,
      );
      this.invalidate(...rest);
    },
    operations: async () => {
      const { type, status, text, limit } = this.state.filter;
      const volumeId = UUID.test(text.trim()) ? text.trim() : '';
      const [executing, pending, history] = await Promise.all([
        api.operations({ status: 'executing', limit: ACTIVE_MAX }),
        api.operations({ status: 'pending', limit: ACTIVE_MAX }),
        api.operations({ type, status, volumeId, limit: Math.min(limit + 1, HISTORY_MAX) }),
      ]);
      this.state.active = [...executing.reverse(), ...pending.reverse()];
      this.state.hasMore = history.length > limit;
      this.state.history = history.slice(0, limit);
      for (const operation of [...executing, ...history]) this.learnName(operation);
      for (const { id } of executing) void this.needJournal(id);
    },
    resources: async () => {
      [this.state.devices, this.state.exports] = await Promise.all([api.devices(), api.exports()]);
      for (const { volume_id } of this.state.devices) this.requestName(volume_id);
    },
  };

  private learnName({ type, request, volume_id }: OperationReply): void {
    if (type === 'create' && volume_id !== '' && typeof request.name === 'string')
      this.names.set(volume_id, request.name);
  }

  /** CloudStack is asked once per volume and page view, and only for attached volumes. */
  private requestName(volumeId: string): void {
    if (this.names.has(volumeId)) return;
    this.names.set(volumeId, '');
    this.naming = this.naming.then(async () => {
      const volume = await api.volume(volumeId).catch(() => null);
      if (volume) this.names.set(volumeId, volume.cloudstack_data.name);
      this.changed();
    });
  }

  private failed(error: unknown): void {
    if (error instanceof ApiError && error.status === 401 && !this.state.needsToken) {
      this.state.needsToken = true;
      this.changed();
    }
  }
}

/** The words of the daemon; a daemon that is away has none. */
function reasonOf(error: unknown): string {
  return error instanceof ApiError ? error.message : 'the daemon does not answer';
}
