import type { Clock } from '~/server/core/clock';
import { DaemonError } from '~/server/core/errors';
import type { Logger } from '~/server/core/log/logger';
import { Ownership } from '~/server/daemon/ownership';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import type { ExportServer } from '~/server/exports/export-server';
import { ExportService } from '~/server/exports/export-service';
import type { Ledger } from '~/server/model/ledger';
import { OperationEvents } from '~/server/model/operation-events';
import type { Policy } from '~/server/operations/decision';
import { OperationService } from '~/server/operations/operation-service';
import { revokeExports } from '~/server/sync/revoke-exports';
import { SyncService } from '~/server/sync/sync-service';
import type { Gate } from './gate';
import { SimulatedLock } from './lock';
import type { World } from './world';

const SIZE_TOLERANCE = 3 * 1024 ** 3;
const POLL = 2_000;
const SWEEP = 30_000;
const SYNC = 60_000;

/**
 * One run of the daemon, from its start to its death: the real engine, service, watcher, exports service, sync and ownership on the
 * simulated ports, put together as server/runtime/volume-daemon.ts does. Its state dies with it.
 */
export class DaemonProcess {
  readonly gate: Gate;
  readonly operations: OperationService;
  readonly exports: ExportService;
  readonly sync: SyncService;
  private readonly ownership: Ownership;
  private readonly watcher: DeviceWatcher;
  private readonly clock: Clock;
  private readonly ports: { ledger: Ledger; exports: ExportServer; logger: Logger };
  private readonly stopping = new AbortController();

  constructor(
    private readonly world: World,
    readonly name: string,
  ) {
    const lock = new SimulatedLock(world.locks);
    this.gate = world.openGate(name, () => {
      // The server notices the end of the connection at once, or when the session has been silent for too long.
      const delay = world.random.chance(0.7) ? 0 : world.random.between(0, 5_000);
      world.scheduler.after(delay, () => lock.close());
    });
    const { gate } = this;
    const clock = gate.clock(() => world.wallClock());
    this.clock = clock;
    const ledger = gate.port('ledger', world.ledger, ['store']);
    const cloud = gate.port('cloud', world.cloud);
    const server = gate.port('exports', world.exportServer(), ['connected']);
    const guest = {
      look: () => gate.call('guest.look', () => world.guest.look()),
      holders: (device: Parameters<typeof world.guest.holders>[0]) =>
        gate.call('guest.holders', () => world.guest.holders(device)),
      productUuid: () => gate.call('guest.productUuid', () => world.guest.productUuid()),
      onHint: (ring: () => void) => world.guest.onHint(() => (gate.alive ? ring() : undefined)),
    };
    const logger = world.logger(name);
    this.ports = { ledger, exports: server, logger };
    const uptime = () => world.uptime();
    const inventory = gate.port('inventory', world.inventory);
    this.watcher = new DeviceWatcher({ guest, clock, logger, inventory, uptime });
    const events = new OperationEvents();
    const random = world.random;
    const base = {
      ledger,
      cloud,
      guest,
      watcher: this.watcher,
      exports: server,
      events,
      clock,
      random,
      logger,
    };
    this.ownership = new Ownership(
      {
        lock: {
          acquire: (id) => gate.call('lock.acquire', () => lock.acquire(id)),
          release: () => gate.call('lock.release', () => lock.release()),
          onLost: (listener) => lock.onLost((reason) => (gate.alive ? listener(reason) : undefined)),
        },
        ledger,
        engineParts: {
          ...base,
          settings: { sizeTolerance: SIZE_TOLERANCE },
          policy: () => this.policy(),
          onFatal: (error) => world.fatal(this, error),
        },
        clock,
        logger,
        owner: name,
      },
      (state) => (state === 'owner' ? void this.owned() : undefined),
    );
    const writer = () => this.writer();
    const owner = () => ({ epoch: this.writer().epoch, applianceVmId: world.applianceVmId });
    const isBusyWith = (volumeId: string) => this.ownership.engine?.isBusyWith(volumeId) ?? false;
    this.operations = new OperationService({
      ...base,
      stopping: this.stopping.signal,
      applianceId: () => world.applianceVmId,
      writer,
      admit: () => {},
    });
    this.exports = new ExportService({
      ledger: () => ledger,
      server,
      watcher: this.watcher,
      events,
      owner,
      isBusyWith,
    });
    this.sync = new SyncService({
      ...base,
      owner,
      isBusyWith,
      sizeTolerance: SIZE_TOLERANCE,
      busyVolumes: () => ledger.busyVolumes(world.applianceVmId),
      identityConflicts: () => [],
    });
  }

  get isOwner(): boolean {
    return this.gate.alive && this.ownership.engine !== null;
  }

  async start(): Promise<void> {
    await this.watcher.start();
    this.watcher.onEvent(() => void this.revokeExports());
    this.ownership.start(this.world.applianceVmId);
    void this.every(POLL, () => this.watcher.scan());
    void this.every(SWEEP, () => this.ownership.engine?.sweep());
    void this.every(SYNC, () => (this.isOwner ? this.trySync('task') : undefined));
  }

  /** SIGTERM: current steps end, the lock is released; then nothing of it is left. */
  async drain(): Promise<void> {
    this.stopping.abort();
    await this.ownership.stop();
    await this.watcher.stop();
    this.gate.die();
  }

  /** Never throws; null when the sync could not run. */
  async trySync(reason: string) {
    return this.sync.run({ dryRun: false, reason }).catch(() => null);
  }

  private async every(ms: number, work: () => unknown): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.clock.sleep(ms, this.stopping.signal);
      if (this.stopping.signal.aborted || this.world.over) return;
      await Promise.resolve(work()).catch(() => undefined);
    }
  }

  private async owned(): Promise<void> {
    await this.revokeExports();
    await this.trySync('start');
  }

  private async revokeExports(): Promise<void> {
    const { engine } = this.ownership;
    if (!engine) return;
    const parts = { ...this.ports, isBusyWith: (id: string) => engine.isBusyWith(id) };
    await revokeExports(parts, this.world.applianceVmId, () => this.watcher.snapshot());
  }

  private writer() {
    const { engine } = this.ownership;
    if (this.stopping.signal.aborted) throw new DaemonError('STOPPING', 'stopping');
    if (!engine) throw new DaemonError('STANDBY', 'not the owner');
    return { engine, epoch: engine.epoch };
  }

  private policy(): Policy {
    return { ...this.world.policy, applianceVmId: this.world.applianceVmId };
  }
}
