import type { Clock } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import { compose, type Domain } from '~/server/daemon/compose';
import { pruneHistory } from '~/server/daemon/prune-history';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import type { ExportService } from '~/server/exports/export-service';
import type { Ledger } from '~/server/model/ledger';
import type { Operation } from '~/server/model/operation';
import type { OperationService } from '~/server/operations/operation-service';
import type { SyncService } from '~/server/sync/sync-service';
import { SIZE_TOLERANCE_BYTES } from './disk-promises';
import type { Gate } from './gate';
import type { World } from './world';

const POLL = 2_000;
const SWEEP = 30_000;
const SYNC = 60_000;

/**
 * One run of the daemon, from its start to its death: the real engine, service, watcher, exports service,
 * sync and ownership on the simulated ports, put together as server/runtime/volume-daemon.ts does. Its state
 * dies with it.
 */
export class DaemonProcess {
  readonly gate: Gate;
  readonly operations: OperationService;
  readonly exports: ExportService;
  readonly sync: SyncService;
  private readonly domain: Domain;
  private readonly watcher: DeviceWatcher;
  private readonly clock: Clock;
  private readonly ledger: Ledger;
  private readonly stopping = new AbortController();

  constructor(
    private readonly world: World,
    readonly name: string,
  ) {
    this.gate = world.openGate(name, () => this.isOwner);
    const { gate } = this;
    const clock = gate.clock(() => world.wallClock());
    this.clock = clock;
    const ledger = gate.port('ledger', world.ledger, ['store']);
    this.ledger = ledger;
    const cloud = gate.port('cloud', world.cloud);
    const server = gate.port('exports', world.exportServer(), ['connected', 'portOf']);
    const guest = {
      look: () => gate.call('guest.look', () => world.guest.look()),
      holders: (devices: Parameters<typeof world.guest.holders>[0]) =>
        gate.call('guest.holders', () => world.guest.holders(devices), [devices]),
      productUuid: () => gate.call('guest.productUuid', () => world.guest.productUuid()),
      slots: () => gate.call('guest.slots', () => world.guest.slots()),
      onHint: (ring: () => void) => world.guest.onHint(() => (gate.alive ? gate.whenAwake(ring) : undefined)),
    };
    const logger = world.logger(name);
    const uptime = () => world.uptime();
    const inventory = gate.port('inventory', world.inventory);
    this.watcher = new DeviceWatcher({ guest, clock, logger, inventory, uptime });
    this.domain = compose(
      {
        ledger,
        cloud,
        guest,
        counters: world.guest,
        watcher: this.watcher,
        exports: server,
        clock,
        clockNotes: {
          uptime,
          load: () => world.clockNote,
          save: (note) => {
            if (gate.alive) world.clockNote = note;
          },
        },
        soon: (work) => void clock.sleep(0).then(work),
        random: world.random,
        logger,
      },
      {
        owner: name,
        instances: { mine: name, hasEnded: (instance) => world.hasEnded(instance) },
        sizeToleranceBytes: SIZE_TOLERANCE_BYTES,
        policy: () => ({ ...world.policy, applianceVmId: world.applianceVmId }),
        ledger: () => ledger,
        identity: {
          view: { vmId: world.applianceVmId, conflicts: [] },
          require: () => world.applianceVmId,
        },
        stopping: this.stopping.signal,
        onOwnershipChanged: (state) => (state === 'owner' ? void this.owned() : undefined),
        onFatal: (error) => world.fatal(gate, error),
      },
    );
    this.operations = this.domain.operations;
    this.exports = this.domain.exports;
    this.sync = this.domain.sync;
  }

  get isOwner(): boolean {
    return this.gate.alive && this.domain.ownership.engine !== null;
  }

  /** Empty while it is not the owner. */
  heldOperations(): readonly Operation[] {
    return this.domain.ownership.engine?.heldOperations() ?? [];
  }

  async start(): Promise<void> {
    await this.watcher.start();
    this.watcher.onEvent(() => void this.domain.revokeExports());
    this.domain.ownership.start(this.world.applianceVmId);
    void this.every(POLL, () => {
      this.domain.clockSteps.look();
      return this.watcher.scan();
    });
    void this.every(SWEEP, () => this.domain.ownership.engine?.sweep());
    void this.every(SYNC, () => (this.isOwner ? this.trySync('task') : undefined));
  }

  /** SIGTERM: current steps end, the lock is released; then nothing of it is left. */
  async drain(): Promise<void> {
    this.stopping.abort();
    await this.domain.ownership.stop();
    await this.watcher.stop();
    this.gate.die();
  }

  /** Never throws; null when the sync could not run. */
  async trySync(reason: string) {
    return this.sync.run({ dryRun: false, reason }).catch(() => null);
  }

  /** As VolumeDaemon prunes. Never throws: whoever is not the owner, or has no database, prunes nothing. */
  async prune(): Promise<void> {
    const { clock, domain } = this;
    const stepped = domain.clockSteps.hasSteppedSince(clock.monotonic() - LIMITS.IDEMPOTENCY_TTL_MS);
    const parts = { nowMs: clock.now(), historyDays: 90, stepped, logger: silentLogger };
    await Promise.resolve()
      .then(() =>
        pruneHistory(this.ledger, domain.writer().epoch, { ...parts, stopping: this.stopping.signal }),
      )
      .catch(() => undefined);
  }

  private async every(ms: number, work: () => unknown): Promise<void> {
    while (!this.stopping.signal.aborted) {
      await this.clock.sleep(ms, this.stopping.signal);
      if (this.stopping.signal.aborted || this.world.over) return;
      await Promise.resolve(work()).catch(() => undefined);
    }
  }

  private async owned(): Promise<void> {
    await this.domain.revokeExports();
    await this.trySync('start');
  }
}
