import type { EventSourceMessage } from 'eventsource-parser';
import { ApiError } from '../../cli/client/errors';
import type { CallerReply, HealthReply } from '../../server/http/schemas/service';
import { api, token } from './api';
import { Feed } from './feed';
import { type FeedState, type Part, type PartState, UNREAD } from './state';

/** One part of a page: how it is read, and after which time it is read again when nothing says so earlier. */
export interface Reader {
  readonly everyMs: number;
  read(): Promise<void>;
}

interface LivePage {
  readonly readers: Readonly<Partial<Record<Part, Reader>>>;
  onEvent(event: EventSourceMessage): void;
  changed(): void;
}

const HEALTH_INTERVAL_MS = 5_000;
const CALLER_INTERVAL_MS = 60_000;
/** Whoever looks elsewhere for a moment finds the page as it was. */
const HIDDEN_MS = 10_000;
/** A burst of events causes one refresh in this time. */
const REFRESH_DELAY_MS = 250;

/**
 * Keeps a page current. An event only says *that* something has happened; the parts are then read
 * again, so no page shows a state that the daemon has not answered with. Every page also reads health
 * and who it acts for.
 */
export class Live {
  connection: FeedState = 'connecting';
  /** Wall clock time since when it has been lost; null while it is not. */
  lostSinceMs: number | null = null;
  /** Wall clock time of the last answer of the daemon, 0 before the first. */
  answeredAtMs = 0;
  needsToken = false;
  health: HealthReply | null = null;
  caller: CallerReply | null = null;
  /** How far the clock of the daemon is ahead of that of the browser. */
  private aheadMs = 0;
  private readonly readers: ReadonlyMap<Part, Reader>;
  private readonly parts = new Map<Part, PartState>();
  private readonly dirty = new Set<Part>();
  private readonly refreshing = new Set<Part>();
  private timer: number | null = null;
  private hiding: number | null = null;
  private paused = false;
  private readonly feed: Feed;

  constructor(private readonly page: LivePage) {
    const own: [Part, Reader][] = [
      ['health', { everyMs: HEALTH_INTERVAL_MS, read: () => this.readHealth() }],
      ['caller', { everyMs: CALLER_INTERVAL_MS, read: () => this.readCaller() }],
    ];
    const others = (Object.keys(page.readers) as Part[]).flatMap((part): [Part, Reader][] => {
      const reader = page.readers[part];
      return reader === undefined ? [] : [[part, reader]];
    });
    this.readers = new Map([...own, ...others]);
    this.feed = new Feed({
      onState: (connection) => this.connectionChanged(connection),
      onEvent: (event) => {
        page.onEvent(event);
        page.changed();
      },
      onRefused: (error) => this.failed(error),
    });
  }

  start(): void {
    // A tab that is opened behind another one is seen later, or never.
    this.paused = document.hidden;
    if (!this.paused) this.feed.start();
    this.refresh();
    for (const [part, { everyMs }] of this.readers) window.setInterval(() => this.invalidate(part), everyMs);
    document.addEventListener('visibilitychange', () => this.visibilityChanged());
  }

  /**
   * A browser has six connections for all pages of an appliance: streams of hidden pages would leave none for
   * one more page. What has happened meanwhile comes with the next connection.
   */
  private visibilityChanged(): void {
    if (this.hiding !== null) window.clearTimeout(this.hiding);
    this.hiding = null;
    if (document.hidden) {
      this.hiding = window.setTimeout(() => {
        this.paused = true;
        this.feed.stop();
      }, HIDDEN_MS);
      return;
    }
    if (this.paused && !this.needsToken) this.feed.start();
    this.paused = false;
    this.schedule();
  }

  part(part: Part): PartState {
    return this.parts.get(part) ?? UNREAD;
  }

  /** The time of the daemon, by which operations and steps begin: the clock of the browser may be wrong. */
  nowMs(): number {
    return Date.now() + this.aheadMs;
  }

  /** A token was entered. */
  unlock(): void {
    this.needsToken = false;
    this.feed.start();
    this.refresh();
  }

  /** Reads everything again. */
  refresh(): void {
    this.invalidate(...this.readers.keys());
  }

  /** Parts that the page does not read are ignored. */
  invalidate(...parts: Part[]): void {
    for (const part of parts) if (this.readers.has(part)) this.dirty.add(part);
    this.schedule();
  }

  changed(): void {
    this.page.changed();
  }

  private connectionChanged(connection: FeedState): void {
    const was = this.connection;
    this.connection = connection;
    if (connection === 'lost') this.lostSinceMs ??= Date.now();
    else this.lostSinceMs = null;
    if (connection === 'live') this.refresh();
    if (connection !== was) this.page.changed();
  }

  /** A hidden page sends no requests; it catches up when it becomes visible. */
  private schedule(): void {
    if (this.timer !== null || this.dirty.size === 0 || document.hidden || this.needsToken) return;
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
      await this.readers.get(part)?.read();
      this.answeredAtMs = Date.now();
      this.parts.set(part, { answeredAtMs: this.answeredAtMs, failed: null });
    } catch (error) {
      // A request from before the token was entered may be refused after it: the token may still be right.
      if (token.get() === asked) this.failed(error);
      const { answeredAtMs, failed } = this.part(part);
      const sinceMs = failed?.sinceMs ?? Date.now();
      this.parts.set(part, { answeredAtMs, failed: { sinceMs, why: reasonOf(error) } });
    } finally {
      this.refreshing.delete(part);
      this.page.changed();
      this.schedule();
    }
  }

  private async readHealth(): Promise<void> {
    const was = this.health?.database_health;
    this.health = await api.health();
    this.aheadMs = Date.parse(this.health.timestamp) - Date.now();
    const changed = was !== undefined && was !== this.health.database_health;
    const rest = [...this.readers.keys()].filter(
      (part) => part !== 'health' && (changed || this.part(part).failed !== null),
    );
    this.invalidate(...rest);
  }

  private async readCaller(): Promise<void> {
    this.caller = await api.whoami();
  }

  private failed(error: unknown): void {
    if (error instanceof ApiError && error.status === 401 && !this.needsToken) {
      this.needsToken = true;
      this.caller = null;
      this.page.changed();
    }
  }
}

/** The words of the daemon; a daemon that is away has none. */
export function reasonOf(error: unknown): string {
  return error instanceof ApiError ? error.message : 'the daemon does not answer';
}
