import { setMaxListeners } from 'node:events';
import { type Clock, sleepUntilAny } from '../core/clock';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import { DEVICE_ADDED, DEVICE_CHANGED, DEVICE_REMOVED } from '../core/log/log-events';
import type { Logger } from '../core/log/logger';
import type { Mapping } from '../model/operation';
import type { Device, DeviceEvent, DeviceEventType, DeviceSnapshot, Guest } from './device';
import { type Change, diffSnapshots, isReboot } from './diff-snapshots';
import { EventRing } from './event-ring';
import { firstSeenAfter, rememberedEvents } from './first-seen';
import { verifiedDevice } from './identity';
import type { InventoryStore } from './inventory-store';

interface WatcherParts {
  readonly guest: Guest;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly inventory: InventoryStore;
  /** ms since the guest was booted, whichever process asks; by default the monotonic clock of this one. */
  readonly uptime?: () => number;
  /** The pause between two looks when nothing waits. */
  readonly pollIntervalMs?: number;
}

export interface WatcherHealth {
  readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'unknown';
  readonly message: string;
  /** Wall clock ms of the last look that succeeded. */
  readonly lastScanAt: number | null;
  readonly devices: number;
  readonly eventsProcessed: number;
  /** Looks that failed since start. */
  readonly failedScans: number;
}

const EVENT_TEXT: Readonly<Record<DeviceEventType, string>> = {
  added: DEVICE_ADDED,
  removed: DEVICE_REMOVED,
  changed: DEVICE_CHANGED,
};

/**
 * Watches the guest's disks: the 2 s task calls `scan`; while anybody waits it scans every
 * LIMITS.FAST_SCAN_MS, and at once when /dev changes. One scan at a time; a call during a scan gets the next
 * one, so that an answer is never older than the question.
 */
export class DeviceWatcher {
  private readonly channel = new EventRing();
  private current: DeviceSnapshot = { bootId: null, devices: [], at: 0, scanned: false };
  /** True until there is something to compare with: the very first inventory is no news. */
  private baseline = true;
  private scanning: Promise<DeviceSnapshot> | null = null;
  private queued: Promise<DeviceSnapshot> | null = null;
  private trouble: string | null = null;
  private unsaved: string | null = null;
  private saving: Promise<void> | null = null;
  private saveAgain = false;
  private failures = 0;
  private events = 0;
  private lastSuccess: number | null = null;
  private waiters = 0;
  private fast: Promise<void> | null = null;
  private readonly stopping = new AbortController();
  private readonly listeners = new Set<(event: DeviceEvent) => void>();
  private readonly serialListeners = new Set<() => void>();
  private readonly afterScan = new Set<() => void>();
  private silence: () => void = () => {};

  constructor(private readonly parts: WatcherParts) {
    // Every operation that waits for its disk listens to it.
    setMaxListeners(LIMITS.EXECUTING_MAX * 2, this.stopping.signal);
  }

  /**
   * Loads the last inventory and looks once, so that what changed while the daemon was away becomes events. A
   * guest that cannot be read is reported by `health` and tried again. Never throws.
   */
  async start(): Promise<void> {
    const stored = await this.parts.inventory.load().catch(() => null);
    if (stored) {
      this.current = { ...stored, scanned: false };
      this.baseline = false;
    }
    this.silence = this.parts.guest.onHint(() => void this.tryScan());
    await this.tryScan();
  }

  /** Ends every wait and the scan that runs, and keeps the last inventory. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.silence();
    await Promise.allSettled([this.fast, this.scanning, this.queued]);
    await this.saving;
  }

  /**
   * The last look; before the first one the stored inventory, with `scanned` false. So it is while the guest
   * cannot be read any more: by then disks may have changed their names.
   */
  snapshot(): DeviceSnapshot {
    return this.trouble !== null && this.isOld() ? { ...this.current, scanned: false } : this.current;
  }

  /** A look that begins after this call. Throws DEVICES_UNREADABLE when the guest cannot be read. */
  scan(): Promise<DeviceSnapshot> {
    if (!this.scanning) return this.startScan();
    const next = () => this.startScan();
    this.queued ??= this.scanning.then(next, next);
    return this.queued;
  }

  /** The events still in the correlation channel, oldest first. */
  channelEvents(): readonly DeviceEvent[] {
    return this.channel.recent();
  }

  /** How the disks that are here came, also before this process, and then `channelEvents`. */
  recentEvents(): readonly DeviceEvent[] {
    const recent = this.channel.recent();
    const held = (event: DeviceEvent) =>
      recent.some(({ type, device: { name, diskseq } }) => {
        return type === 'added' && name === event.device.name && diskseq === event.device.diskseq;
      });
    const remembered = rememberedEvents(this.current, this.parts.clock, this.uptime());
    return [...remembered.filter((event) => !held(event)), ...recent];
  }

  /** The device of a mapping, only when its identity holds in the last look. */
  deviceOf(mapping: Mapping): Device | null {
    return verifiedDevice(mapping, this.current).device;
  }

  /** Called with every event, after the snapshot has been replaced. Returns the unsubscribe function. */
  onEvent(listener: (event: DeviceEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Called when a look without events has shown the serial of a disk that was not known before. */
  onSerial(listener: () => void): void {
    this.serialListeners.add(listener);
  }

  /**
   * The first answer of `check` that is not null, asked after every successful look, beginning now; null
   * after `timeoutMs`, an abort or `stop`. Throws only what `check` throws.
   */
  async waitFor<T>(
    check: (snapshot: DeviceSnapshot) => T | null,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<T | null> {
    const release = this.urgent();
    const done = new AbortController();
    const signals = [done.signal, this.stopping.signal, ...(options.signal ? [options.signal] : [])];
    // One timer for the whole wait: a wait may see hundreds of looks.
    let over = options.timeoutMs <= 0;
    const expired = sleepUntilAny(this.parts.clock, options.timeoutMs, signals).then(() => {
      over = true;
    });
    try {
      let fresh = await this.tryScan();
      for (;;) {
        const answer = fresh ? check(fresh) : null;
        if (answer !== null || over) return answer;
        await Promise.race([this.nextScan(), expired]);
        fresh = this.trouble === null ? this.current : null;
      }
    } finally {
      done.abort();
      release();
    }
  }

  /** Scans every LIMITS.FAST_SCAN_MS ms until the returned function is called. */
  urgent(): () => void {
    this.waiters += 1;
    this.fast ??= this.scanFast();
    let released = false;
    return () => {
      if (!released) this.waiters -= 1;
      released = true;
    };
  }

  /** Cheap: nothing is looked at. `degraded` when nobody has scanned in time. */
  health(): WatcherHealth {
    const seen = {
      lastScanAt: this.current.scanned ? this.current.at : null,
      devices: this.current.devices.length,
      eventsProcessed: this.events,
      failedScans: this.failures,
    };
    if (this.trouble !== null) return { status: 'unhealthy', message: this.trouble, ...seen };
    if (this.lastSuccess === null) return { status: 'unknown', message: 'not scanned yet', ...seen };
    if (this.isOld()) {
      const age = Math.round((this.parts.clock.monotonic() - this.lastSuccess) / 1000);
      return { status: 'degraded', message: `the last look is ${age} s old`, ...seen };
    }
    return { status: 'healthy', message: `${seen.devices} disk(s)`, ...seen };
  }

  /** Was the last look that succeeded longer ago than it should be? */
  private isOld(): boolean {
    const { clock, pollIntervalMs = 0 } = this.parts;
    return clock.monotonic() - (this.lastSuccess ?? 0) > LIMITS.SCAN_STALE_MS + pollIntervalMs;
  }

  private async scanFast(): Promise<void> {
    // Cleared in the tick of the last check, so that a later waiter starts the next round.
    await this.parts.clock.sleep(LIMITS.FAST_SCAN_MS, this.stopping.signal);
    while (this.waiters > 0 && !this.stopping.signal.aborted) {
      await this.tryScan();
      await this.parts.clock.sleep(LIMITS.FAST_SCAN_MS, this.stopping.signal);
    }
    this.fast = null;
  }

  private tryScan(): Promise<DeviceSnapshot | null> {
    if (this.stopping.signal.aborted) return Promise.resolve(null);
    return this.scan().catch(() => null);
  }

  private startScan(): Promise<DeviceSnapshot> {
    this.queued = null;
    this.scanning = this.lookOnce().finally(() => {
      this.scanning = null;
      const waiting = [...this.afterScan];
      this.afterScan.clear();
      for (const wake of waiting) wake();
    });
    return this.scanning;
  }

  private async lookOnce(): Promise<DeviceSnapshot> {
    const { guest, clock, logger } = this.parts;
    let look: Awaited<ReturnType<Guest['look']>>;
    try {
      look = await guest.look();
    } catch (error) {
      throw this.failed(error);
    }
    if (this.trouble !== null) logger.info('Device monitor works again');
    this.trouble = null;
    this.lastSuccess = clock.monotonic();
    const before = this.current;
    const changes = this.baseline ? [] : diffSnapshots(before, look);
    const now = { at: clock.now(), uptime: this.uptime() };
    const appearances = firstSeenAfter(before.appearances, changes, now);
    this.current = { ...look, at: now.at, scanned: true, appearances };
    this.baseline = false;
    if (isReboot(before, this.current)) {
      logger.info('The guest has been rebooted; every device is looked at anew', { boot_id: look.bootId });
    }
    for (const change of changes) this.announce(change);
    const hasNewSerials = serialsChanged(before, this.current);
    if (changes.length === 0 && hasNewSerials) for (const listener of this.serialListeners) listener();
    if (changes.length > 0 || !before.scanned || hasNewSerials) this.saveSoon();
    return this.current;
  }

  private uptime(): number {
    return this.parts.uptime ? this.parts.uptime() : this.parts.clock.monotonic();
  }

  private failed(error: unknown): DaemonError {
    const { logger } = this.parts;
    const trouble = `The devices of this guest cannot be read: ${messageOf(error)}`;
    this.failures += 1;
    if (this.trouble === null) logger.error('Device monitor failed', { reason: trouble });
    this.trouble = trouble;
    return new DaemonError('DEVICES_UNREADABLE', trouble, { cause: error, retryAfterSeconds: 2 });
  }

  private announce({ type, device }: Change): void {
    const { clock, logger } = this.parts;
    const event = this.channel.publish({ type, device, at: clock.now(), monotonic: clock.monotonic() });
    this.events += 1;
    logger.info(EVENT_TEXT[type], {
      device_path: device.path,
      size: device.size,
      serial: device.serial,
      diskseq: device.diskseq,
      controller: device.controller,
    });
    for (const listener of [...this.listeners]) listener(event);
  }

  /** Nobody who looks waits for the file. Always the last look, however many were made meanwhile. */
  private saveSoon(): void {
    this.saveAgain = true;
    this.saving ??= this.saveAll().finally(() => {
      this.saving = null;
    });
  }

  private async saveAll(): Promise<void> {
    while (this.saveAgain) {
      this.saveAgain = false;
      await this.save();
    }
  }

  /**
   * A lost inventory costs the events of the next downtime and nothing else: said once per change of state.
   */
  private async save(): Promise<void> {
    try {
      await this.parts.inventory.save(this.current);
      this.unsaved = null;
    } catch (error) {
      const reason = messageOf(error);
      if (this.unsaved === null) this.parts.logger.warn('The device inventory could not be kept', { reason });
      this.unsaved = reason;
    }
  }

  private nextScan(): Promise<void> {
    return new Promise((resolve) => this.afterScan.add(resolve));
  }
}

function serialsChanged(before: DeviceSnapshot, after: DeviceSnapshot): boolean {
  const old = new Map(before.devices.map(({ name, serial }) => [name, serial]));
  return after.devices.some(({ name, serial }) => old.get(name) !== serial);
}
