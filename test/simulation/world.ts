import { ManagementServers } from '~/lab/cloudstack/management-servers';
import { CloudModel } from '~/lab/cloudstack/model';
import { ModelCloud } from '~/lab/cloudstack/model-cloud';
import type { Volume } from '~/lab/cloudstack/records';
import { MemoryExports, MemoryServer } from '~/lab/exports/memory-exports';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { MemoryStore } from '~/lab/ledger/memory-store';
import type { ClockNote } from '~/server/core/clock-steps';
import { DaemonError, messageOf } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { type Logger, silentLogger } from '~/server/core/log/logger';
import type { ExportServer } from '~/server/exports/export-server';
import { noExports } from '~/server/exports/no-exports';
import type { Policy } from '~/server/operations/policy';
import { DiskPromises } from './disk-promises';
import { Doors } from './doors';
import { Gate } from './gate';
import { SimulatedGuest } from './guest';
import { SeededRandom } from './random';
import { Scheduler } from './scheduler';
import type { Script } from './script-items';
import { Poison, SpoiltLedger } from './spoilt-ledger';

// How often the daemon looks at what does not change anyway costs most of a schedule; a simulated guest rings
// when it has changed. The floor under pruning is left out: a schedule has fewer operations than it keeps.
// Whoever waits a day for a slot has nothing to tell that is not told within minutes.
Object.assign(LIMITS, {
  FAST_SCAN_MS: 400,
  JOB_POLL_FIRST_MS: 150,
  HISTORY_KEPT: 0,
  SLOT_WAIT_DEADLINE_MS: 240_000,
});

const GIB = 1024 ** 3;
const PORT = 10_809;
/** Beyond the device ids that CloudStack gives to volumes of ours. */
const FOREIGN_SLOT = 20;
/** Of chance: which management server answers. */
const SERVERS_STREAM = 10;
/** Virtual ms until a daemon is started again that a poison operation has ended. */
const RESTART_MS = 1_000;

const CHANGES_OF_CLOUDSTACK: ReadonlySet<string> = new Set([
  'cloud.submit',
  'cloud.deleteVolume',
  'cloud.recoverVolume',
]);
const WRITES: ReadonlySet<string> = new Set([
  'ledger.accept',
  'ledger.append',
  'ledger.auditedChange',
  'ledger.claim',
  'ledger.renewLease',
  'ledger.requestCancel',
  'ledger.resumable',
  'ledger.settleOpenJob',
]);

/** Something that must never be. */
export class Violation extends Error {
  constructor(
    readonly invariant: string,
    message: string,
  ) {
    super(message);
    this.name = 'Violation';
  }
}

/**
 * What outlives every process of the daemon: the database, CloudStack, the guest, the export server, time.
 * The mishaps that strike it are in ./mishaps.ts.
 */
export class World {
  readonly random: SeededRandom;
  readonly scheduler: Scheduler;
  readonly store = new MemoryStore();
  readonly ledger: SpoiltLedger;
  readonly guest: SimulatedGuest;
  readonly model: CloudModel;
  /** null: all of CloudStack shows what is. */
  private readonly servers: ManagementServers | null;
  readonly cloud: ModelCloud;
  readonly server: MemoryServer;
  /** The daemon's state folder. */
  readonly inventory = createMemoryInventory();
  /** In it as well; null: there is none of this boot. */
  clockNote: ClockNote | null = null;
  readonly applianceVmId: string;
  readonly otherVmId: string;
  readonly zoneId: string;
  readonly policy: Omit<Policy, 'applianceVmId'>;
  /** Volumes by their number in the schedule. */
  readonly volumes: string[] = [];
  /** ms by which the appliance's wall clock is wrong. */
  clockOffset = 0;
  /** ms by which the wall clock of the database server is wrong. */
  databaseClockOffset = 0;
  /** systemd, after a poison operation has ended a daemon. */
  restart: () => void = () => {};
  /** Processes that are no more. */
  private readonly ended = new Set<string>();
  databaseAwayUntil = 0;
  /** The next change is committed although its answer is lost. */
  answerLost = false;
  /** Volumes that no request names: likenesses of ours, other people's. */
  readonly foreign = new Set<string>();
  /** Those of them that somebody plugs into this guest: what is here with a certain disk is mapped. */
  readonly visitors = new Set<string>();
  /** Volumes for which another program has written a row. */
  readonly rowsOfOthers = new Set<string>();
  /** Volumes of which a disk has failed every request: it looks like one that never had a serial. */
  readonly muted = new Set<string>();
  /** Jobs that somebody started by hand, past the daemon. */
  readonly byHand = new Set<string>();
  /** Volumes that an administrator has deleted or recovered. */
  readonly administered = new Set<string>();
  /** Job id → the VM that its intent names. */
  readonly intendedVms = new Map<string, string>();
  /** Volumes that the daemon of the other VM has mapped. */
  readonly theirs = new Set<string>();
  /** Virtual ms; null while it runs, or where there is none. */
  neighbourEndedAt: number | null = null;
  /** Jobs whose intent ignores who uses the disk. */
  readonly forced = new Set<string>();
  /** Virtual ms since when somebody has the other VM running again. */
  otherVmStartedAt = Number.POSITIVE_INFINITY;
  readonly doors = new Doors(this);
  readonly disks = new DiskPromises(this);
  /** When something happened to a volume that no operation asked for. */
  readonly disturbed = new Map<string, number>();
  /** When another program deleted a mapping: only the next sync can know. */
  readonly unmapped = new Map<string, number>();
  /** Since when somebody owns the appliance and can look at the guest. */
  watchedSince = 0;
  readonly struck: Record<string, number> = {};
  /** How often each promise was put to the test that is not one of ./invariants.ts. */
  readonly checks: Record<string, number> = {};
  readonly lines: string[] = [];
  over = false;
  violation: Violation | null = null;
  bootedAt = 0;
  /** No daemon can be started. */
  booting = false;
  unreadable = false;

  constructor(
    readonly script: Script,
    private readonly tracing = false,
  ) {
    const { seed, world } = script;
    this.random = new SeededRandom(seed, 2);
    this.scheduler = new Scheduler(new SeededRandom(seed, 3));
    const { scheduler, random } = this;
    const clock = scheduler.clock();
    this.ledger = new SpoiltLedger({
      store: this.store,
      now: () => this.wallClock(),
      databaseNow: () => Math.floor(scheduler.clock().now() + this.databaseClockOffset),
      random,
    });
    this.guest = new SimulatedGuest({
      clock,
      random,
      serials: world.serials,
      holdSerials: world.slowSerials,
      serialDelay: world.slowSerials ? () => random.between(10, 3_000) : null,
      later: (ms, work) => void scheduler.after(ms, work),
      givesSerials: () => scheduler.time >= (world.serialsFrom ?? 0),
      latency: { plug: random.between(1, 300), unplug: random.between(1, 300) },
      bootDelay: random.between(1_000, 5_000),
      ...(world.slots ? { slots: world.slots.count, showsSlots: world.slots.shown } : {}),
    });
    const { serverLagsMs } = world;
    this.servers = serverLagsMs
      ? new ManagementServers(clock, new SeededRandom(seed, SERVERS_STREAM), serverLagsMs)
      : null;
    this.model = new CloudModel({
      clock,
      random,
      ...(this.servers ? { servers: this.servers } : {}),
      guest: this.guest,
      applianceHypervisor: world.serials ? 'KVM' : 'VMware',
      latencies: {
        create: { accept: [1, 60], job: [10, 600] },
        attach: { accept: [1, 60], job: [20, 1_200] },
        detach: { accept: [1, 60], job: [20, 1_200] },
        remove: { accept: [1, 60], job: [10, 1_000] },
        resize: { accept: [1, 60], job: [10, 1_000] },
        snapshot: { accept: [1, 60], job: [10, 1_500] },
        vm: { accept: [1, 60], job: [50, 1_500] },
        // The way of every call is the gate's business.
        read: { accept: 0, job: 0 },
      },
    });
    this.cloud = new ModelCloud(this.model, clock);
    this.applianceVmId = this.model.applianceVmId;
    this.otherVmId = this.model.addVm({ name: 'test', state: world.otherVmRuns ? 'Running' : 'Stopped' }).id;
    this.zoneId = this.model.inventory.firstZone().id;
    this.server = new MemoryServer({
      port: PORT,
      devDir: '/dev',
      // As links on a real machine: whatever disk has the letter now.
      disk: async (path) => {
        const size = this.sizeAt(path);
        return size === null ? null : { size, key: 'link' };
      },
    });
    this.policy = {
      attachRollback: world.rollback,
      detachInUse: 'refuse',
      detachConnected: 'refuse',
      slots: world.slots?.wait ? 'wait' : 'refuse',
      volumeNames: 'unique',
      deleteMode: world.trash === true ? 'trash' : 'expunge',
      jobLostAfterMs: 30_000,
      exportsEnabled: world.exports,
      correlationTimeoutMs: 5_000,
    };
    if (world.otherVmRuns) this.otherVmStartedAt = Number.NEGATIVE_INFINITY;
    for (let index = 0; index < world.volumes; index += 1) this.addVolume(index);
  }

  wallClock(): number {
    return Math.floor(this.scheduler.clock().now() + this.clockOffset);
  }

  /** ms since the guest was booted. */
  uptime(): number {
    return this.scheduler.time - this.bootedAt;
  }

  trace(line: () => string): void {
    if (this.tracing) this.lines.push(`${this.scheduler.time.toFixed(1).padStart(10)}  ${line()}`);
  }

  strike(kind: string): void {
    this.struck[kind] = (this.struck[kind] ?? 0) + 1;
    this.trace(() => `*** ${kind}`);
  }

  disturb(volumeId: string): void {
    this.disturbed.set(volumeId, this.scheduler.time);
  }

  fail(invariant: string, message: string): void {
    this.violation ??= new Violation(invariant, message);
    this.trace(() => `!!! ${invariant}: ${message}`);
    this.over = true;
  }

  /** An error that no decision covers: the process would end with code 70. */
  fatal(gate: Gate, error: unknown): void {
    if (error instanceof Poison) this.scheduler.after(RESTART_MS, this.restart);
    else
      this.fail(
        'no-programming-error',
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
    gate.die();
  }

  /** After every event: what management servers that lag behind will show later. */
  noteForServers(): void {
    this.servers?.note(this.model.volumes);
    this.servers?.note(this.model.vms);
  }

  /** A list may show the volume as it was a while ago. */
  isShownLate(volume: Volume | undefined): boolean {
    return this.servers !== null || (volume !== undefined && volume.stale !== null);
  }

  volume(id: string): Volume | undefined {
    return this.model.volumes.find((volume) => volume.id === id);
  }

  exportServer(): ExportServer {
    return this.script.world.exports ? new MemoryExports(this.server) : noExports(PORT);
  }

  /** In every second schedule the daemons are on machines of their own, and know nothing of each other. */
  hasEnded(name: string): boolean {
    return this.script.seed % 2 === 0 && this.ended.has(name);
  }

  openGate(name: string, isOwner: () => boolean): Gate {
    return new Gate({
      scheduler: this.scheduler,
      random: this.random,
      trace: (line) => this.trace(() => `${name}  ${line()}`),
      trouble: (what) => (what.startsWith('ledger.') ? this.databaseTrouble() : null),
      onDeath: () => this.ended.add(name),
      departs: (what, args) => {
        if (CHANGES_OF_CLOUDSTACK.has(what)) this.checkSender(name, what, isOwner());
        this.doors.departs(name, what, args);
        this.disks.departs(name, what, args);
      },
      happened: (what, [epoch], value) => {
        this.checkWriter(name, what, epoch, value);
        this.disks.happened(what, value);
      },
      answered: (what, args, value) => {
        this.doors.answered(name, what, args);
        this.disks.answered(name, what, args, value);
      },
    });
  }

  logger(name: string): Logger {
    if (!this.tracing) return silentLogger;
    const say = (message: string, fields: object = {}) =>
      this.trace(
        () =>
          `${name}  "${message}" ${JSON.stringify(fields, (_key, value) => (value instanceof Error ? messageOf(value) : value))}`,
      );
    const logger: Logger = { debug: () => {}, info: say, warn: say, error: say };
    return logger;
  }

  private checkSender(name: string, what: string, isOwner: boolean): void {
    this.checks['only-the-owner-calls'] = (this.checks['only-the-owner-calls'] ?? 0) + 1;
    if (!isOwner)
      this.fail('only-the-owner-calls', `${name} has sent ${what} and does not own the appliance`);
  }

  /** What an owner writes after another one has taken over has no effect. */
  private checkWriter(name: string, what: string, epoch: unknown, value: unknown): void {
    const wrote = WRITES.has(what) && !(Array.isArray(value) && value.length === 0);
    if (!wrote || typeof epoch !== 'object' || epoch === null || !('number' in epoch)) return;
    this.checks['only-the-owner-writes'] = (this.checks['only-the-owner-writes'] ?? 0) + 1;
    const current = this.store.appliances.get(this.applianceVmId)?.epoch;
    if (epoch.number !== current)
      this.fail('only-the-owner-writes', `${name}: ${what} of epoch ${epoch.number} in epoch ${current}`);
  }

  private databaseTrouble(): { error: Error; after: boolean } | null {
    if (this.scheduler.time >= this.databaseAwayUntil) return null;
    const after = this.answerLost;
    if (after) this.answerLost = false;
    return { error: new DaemonError('DATABASE_UNAVAILABLE', 'The database is away'), after };
  }

  private sizeAt(path: string): number | null {
    const id = this.guest.volumesByPath().get(path);
    return id === undefined ? null : this.guest.sizeOf(id);
  }

  /** A volume of the same account, name, size, zone and moment as one of ours, made by somebody else. */
  addNamesake(name: string, sizeBytes: number): void {
    const [offering] = this.model.offerings;
    const diskOfferingId = offering?.id ?? null;
    const volume = this.model.inventory.addVolume({
      name,
      size: sizeBytes,
      zoneId: this.zoneId,
      diskOfferingId,
    });
    // Every second one of them is on the other VM, beside volumes of ours.
    if (this.foreign.size % 2 === 1)
      Object.assign(volume, {
        state: 'Ready',
        vmId: this.otherVmId,
        deviceId: FOREIGN_SLOT + this.foreign.size,
        attached: volume.created,
      });
    this.foreign.add(volume.id);
  }

  /** A volume of somebody else that is about to come into this guest. */
  addVisitor(sizeBytes: number): Volume {
    const [offering] = this.model.offerings;
    const volume = this.model.inventory.addVolume({
      name: `visitor-${this.visitors.size}`,
      size: sizeBytes,
      zoneId: this.zoneId,
      diskOfferingId: offering?.id ?? null,
    });
    Object.assign(volume, { state: 'Ready', hypervisor: 'KVM' });
    this.foreign.add(volume.id);
    this.visitors.add(volume.id);
    return volume;
  }

  /** An id that begins as that of the first volume, for the second one. */
  private twinOf(index: number): { id: string } | Record<string, never> {
    const [first] = this.volumes;
    if (this.script.world.twins !== true || index !== 1 || first === undefined) return {};
    return { id: `${first.slice(0, -12)}${this.random.uuid().slice(-12)}` };
  }

  private addVolume(index: number): void {
    const { world } = this.script;
    const [offering] = this.model.offerings;
    const volume = this.model.inventory.addVolume({
      ...this.twinOf(index),
      name: `volume-${index}`,
      size: (world.equalSizes ? 5 : 5 + index) * GIB,
      zoneId: this.zoneId,
      diskOfferingId: offering?.id ?? null,
    });
    if (world.unused !== true || index < world.elsewhere)
      Object.assign(volume, { state: 'Ready', hypervisor: 'KVM' });
    if (index < world.elsewhere)
      Object.assign(volume, { vmId: this.otherVmId, deviceId: index + 4, attached: volume.created });
    this.volumes.push(volume.id);
  }
}
