import type { EventSourceMessage } from 'eventsource-parser';
import type { ExportReply } from '../../server/http/schemas/exports';
import type { JournalEntryReply, OperationReply } from '../../server/http/schemas/operations';
import type { HealthReply } from '../../server/http/schemas/service';
import type { MappingReply } from '../../server/http/schemas/volumes';
import { ApiError, api, token } from './api';
import { Feed, type FeedState } from './feed';
import { journalSoFar } from './journal';

export interface HistoryFilter {
  readonly type: string;
  readonly status: string;
  readonly text: string;
  readonly limit: number;
}

/** Everything the page shows. */
export interface State {
  connection: FeedState;
  /** Wall clock ms of the last answer of the daemon, 0 before one. */
  answeredAtMs: number;
  needsToken: boolean;
  health: HealthReply | null;
  /** Executing and pending, in order of acceptance. */
  active: readonly OperationReply[];
  history: readonly OperationReply[];
  /** The server has more than was asked for. */
  hasMore: boolean;
  devices: readonly MappingReply[];
  exports: readonly ExportReply[];
  filter: HistoryFilter;
}

const HEALTH_INTERVAL_MS = 5_000;
const RESOURCES_INTERVAL_MS = 30_000;
/** A burst of events causes one refresh in this time. */
const REFRESH_DELAY_MS = 250;
const ACTIVE_MAX = 200;
const JOURNALS_MAX = 300;
const NAME_REQUESTS_MAX = 2;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
export const HISTORY_PAGE = 25;
const HISTORY_MAX = 1000;

type Part = 'health' | 'operations' | 'resources';

/**
 * What the daemon said last. Events say *that* something has happened; the resources themselves are then read again, so the page
 * shows what the daemon answers and never a guess of its own.
 */
export class Store {
  readonly state: State = {
    connection: 'connecting',
    answeredAtMs: 0,
    needsToken: false,
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
  private readonly unnamed: string[] = [];
  private naming = 0;
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
    this.invalidate('health', 'operations', 'resources');
    window.setInterval(() => this.invalidate('health'), HEALTH_INTERVAL_MS);
    window.setInterval(() => this.invalidate('resources', 'operations'), RESOURCES_INTERVAL_MS);
    document.addEventListener('visibilitychange', () => this.schedule());
  }

  /** A token was entered. */
  unlock(): void {
    this.state.needsToken = false;
    this.feed.start();
    this.invalidate('health', 'operations', 'resources');
  }

  filter(change: Partial<HistoryFilter>): void {
    this.state.filter = { ...this.state.filter, ...change };
    this.invalidate('operations');
    this.changed();
  }

  showMore(): void {
    this.filter({ limit: Math.min(HISTORY_MAX, this.state.filter.limit * 2) });
  }

  /** Something may be different now (a sync has run). */
  refresh(): void {
    this.invalidate('health', 'operations', 'resources');
  }

  /** The name of a volume, when anything has told it. */
  nameOf(volumeId: string): string | null {
    return this.names.get(volumeId) ?? null;
  }

  journalOf(operationId: string): JournalEntryReply[] {
    return [...(this.journals.get(operationId)?.values() ?? [])];
  }

  /** Makes sure that the journal is there from its first entry. */
  async needJournal(operationId: string): Promise<void> {
    if (this.complete.has(operationId)) return;
    this.complete.add(operationId);
    try {
      for (const entry of await journalSoFar(operationId)) this.keep(entry);
    } catch {
      this.complete.delete(operationId);
    }
    this.changed();
  }

  private connectionChanged(connection: FeedState): void {
    const was = this.state.connection;
    this.state.connection = connection;
    if (connection === 'live') this.invalidate('health', 'operations', 'resources');
    if (connection !== was) this.changed();
  }

  private eventReceived({ event, data }: EventSourceMessage): void {
    if (event === 'operation') {
      const entry: JournalEntryReply = JSON.parse(data);
      this.keep(entry);
      this.invalidate('operations');
      if (entry.step !== 'operation' && entry.state === 'done') this.invalidate('resources');
      if (entry.state === 'completed' || entry.state === 'failed') this.invalidate('resources', 'health');
    } else this.invalidate('resources', 'health');
    this.changed();
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

  /** A hidden page asks nothing; it catches up when it is looked at. */
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
      await this.parts[part]();
      this.state.answeredAtMs = Date.now();
    } catch (error) {
      // What was asked before the token was entered may be refused after it: that says nothing about the token.
      if (token.get() === asked) this.failed(error);
    } finally {
      this.refreshing.delete(part);
      this.changed();
      this.schedule();
    }
  }

  private readonly parts: Readonly<Record<Part, () => Promise<void>>> = {
    health: async () => {
      this.state.health = await api.health();
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

  /** CloudStack is asked once per volume and visit, and only for what is attached. */
  private requestName(volumeId: string): void {
    if (this.names.has(volumeId) || this.unnamed.includes(volumeId)) return;
    this.unnamed.push(volumeId);
    void this.findNames();
  }

  private async findNames(): Promise<void> {
    if (this.naming >= NAME_REQUESTS_MAX) return;
    this.naming += 1;
    for (let id = this.unnamed[0]; id !== undefined; id = this.unnamed[0]) {
      this.unnamed.shift();
      if (this.names.has(id)) continue;
      const name = await api.volume(id).then(
        ({ cloudstack_data }) => cloudstack_data.name,
        () => '',
      );
      this.names.set(id, name);
      this.changed();
    }
    this.naming -= 1;
  }

  private failed(error: unknown): void {
    if (error instanceof ApiError && error.status === 401 && !this.state.needsToken) {
      this.state.needsToken = true;
      this.changed();
    }
  }
}
