import { CloudModel, type ModelOptions } from '~/lab/cloudstack/model';
import { ModelCloud } from '~/lab/cloudstack/model-cloud';
import type { Volume } from '~/lab/cloudstack/records';
import { MemoryExports, MemoryServer } from '~/lab/exports/memory-exports';
import { MemoryGuest, type MemoryGuestOptions } from '~/lab/guest/memory-guest';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { MemoryStore } from '~/lab/ledger/memory-store';
import type { ClockNote, ClockNotes } from '~/server/core/clock-steps';
import { type Logger, silentLogger } from '~/server/core/log/logger';
import { compose, type Domain } from '~/server/daemon/compose';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import { expectedSerial } from '~/server/devices/serial';
import { absent } from '~/server/model/evidence';
import {
  isTerminal,
  type JournalEntry,
  type Operation,
  type OperationType,
  type RequestOf,
} from '~/server/model/operation';
import type { Mutation } from '~/server/operations/action';
import type { Policy } from '~/server/operations/policy';
import { ManualClock } from '../devices/manual-clock';
import { countingRandom } from '../simulator/world';
import { policy } from './situations';

export const GIB = 1024 ** 3;
const PORT = 10_809;
export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;

/** The request of a cleanup that brings a volume back here, and does nothing else unless `more` says so. */
export const cleanup = (
  rig: Rig,
  volumeId: string,
  testVmId: string,
  more: Partial<RequestOf['cleanup']> = {},
) => ({
  volume_id: volumeId,
  test_vm_id: testVmId,
  oma_vm_id: rig.here,
  delete_vm: false,
  force_clean: false,
  ...more,
});

export interface RigOptions {
  readonly model?: Partial<ModelOptions>;
  readonly guest?: Partial<MemoryGuestOptions>;
  readonly policy?: Partial<Policy>;
  readonly logger?: Logger;
}

/**
 * The real domain (engine, guards, sync, export service) put together as the daemon does, on a CloudStack, a
 * guest, a database and an export server in memory. Time passes only in `ended` and `pass`. What leaves for
 * CloudStack is in `sent`.
 */
export class Rig {
  readonly clock = new ManualClock();
  readonly random = countingRandom();
  readonly guest: MemoryGuest;
  readonly model: CloudModel;
  readonly cloud: ModelCloud;
  /** What the database holds, for those who change it by hand. */
  readonly store = new MemoryStore();
  readonly ledger: MemoryLedger;
  /** How far the clock of the database is ahead of the others. */
  databaseAheadMs = 0;
  readonly server: MemoryServer;
  /** Every mutation that left, in order, sent again or not. */
  readonly sent: Mutation[] = [];
  /**
   * Called right before a mutation arrives in CloudStack: the world may change between the last look and the
   * call.
   */
  onSend: (command: Mutation) => void = () => {};
  private clockNote: ClockNote | null = null;
  /** What the state folder knows of the clock, in one boot of the machine. */
  private readonly clockNotes: ClockNotes = {
    uptime: () => this.clock.monotonic(),
    load: () => this.clockNote,
    save: (note) => {
      this.clockNote = note;
    },
  };
  domain: Domain;
  fatal: unknown = null;
  private stopping = new AbortController();

  private constructor(private readonly options: RigOptions) {
    const { clock, random } = this;
    this.guest = new MemoryGuest({ clock, random, ...options.guest });
    this.model = new CloudModel({
      clock,
      random,
      guest: this.guest,
      latencies: { create: 100, attach: 100, detach: 100, remove: 100, vm: 100 },
      ...options.model,
    });
    this.cloud = new ModelCloud(this.model, clock);
    this.watchSends();
    const databaseNow = () => clock.now() + this.databaseAheadMs;
    this.ledger = new MemoryLedger({ store: this.store, now: () => clock.now(), databaseNow, random });
    this.server = new MemoryServer({ port: PORT, devDir: '/dev', disk: (path) => this.diskAt(path) });
    this.domain = this.begin();
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    await rig.pass(100);
    return rig;
  }

  get here(): string {
    return this.model.applianceVmId;
  }

  /** The names of what was sent. */
  get calls(): string[] {
    return this.sent.map(({ name }) => name);
  }

  /**
   * A data volume that has storage; attached where `vmId` says, with its disk in the guest of the appliance,
   * which shows the serial of the volume or the one named.
   */
  async volume(
    fields: Partial<Volume> & { readonly mapped?: boolean; readonly serial?: string } = {},
  ): Promise<Volume> {
    const { mapped, serial, ...rest } = fields;
    const [offering] = this.model.offerings;
    const zoneId = this.model.inventory.firstZone().id;
    const made = this.model.inventory.addVolume({
      name: rest.name ?? 'data',
      size: rest.size ?? 5 * GIB,
      zoneId,
      diskOfferingId: offering?.id ?? null,
      ...(rest.accountId === undefined ? {} : { accountId: rest.accountId }),
    });
    Object.assign(made, { state: 'Ready' }, rest);
    if (rest.vmId !== undefined && rest.vmId !== null) this.plugInto(made, rest.vmId);
    if (made.vmId === this.here)
      await this.guest.plug({
        volumeId: made.id,
        size: made.size,
        serial: serial ?? expectedSerial(made.id),
      });
    if (mapped) await this.sync();
    return made;
  }

  /** CloudStack says that it is attached there from now on. */
  plugInto(volume: Volume, vmId: string): void {
    const deviceId = this.model.volumes.filter((other) => other.vmId === vmId && other !== volume).length;
    Object.assign(volume, { vmId, deviceId, attached: this.clock.now() });
  }

  unplug(volume: Volume): void {
    Object.assign(volume, { vmId: null, deviceId: null, attached: null });
  }

  vm(state: string, fields: { readonly account?: string } = {}): string {
    const accountId =
      fields.account === undefined ? {} : { accountId: this.model.accounts.require(fields.account).id };
    return this.model.addVm({ name: 'test', state, ...accountId }).id;
  }

  setVmState(vmId: string, state: string): void {
    this.model.inventory.vm('test', 'id', vmId).state = state;
  }

  hide(id: string, ms?: number): void {
    this.model.conditions.add({ kind: 'hidden', id, ...(ms === undefined ? {} : { ms }) });
  }

  /** From now on CloudStack says of this id that there is none. */
  purge(id: string): void {
    const { readVolume } = this.cloud;
    this.cloud.readVolume = async (asked) =>
      asked === id
        ? absent('entity does not exist', this.clock.now(), 'cloudstack')
        : readVolume.call(this.cloud, asked);
  }

  async request<T extends OperationType>(type: T, request: RequestOf[T]): Promise<string> {
    return (await this.during(this.domain.operations.request(type, request))).id;
  }

  /** Lets time pass until the operation has ended. Throws when it has not within `withinMs`. */
  async ended(id: string, withinMs = 5 * MINUTE_MS): Promise<Operation> {
    const until = this.clock.monotonic() + withinMs;
    for (;;) {
      const operation = await this.operation(id);
      if (isTerminal(operation.status)) return operation;
      if (this.clock.monotonic() >= until)
        throw new Error(`it has not ended after ${withinMs} ms: ${operation.waitReason ?? 'no reason'}`);
      await this.pass(250);
    }
  }

  async run<T extends OperationType>(type: T, request: RequestOf[T], withinMs?: number): Promise<Operation> {
    return this.ended(await this.request(type, request), withinMs);
  }

  async operation(id: string): Promise<Operation> {
    const operation = await this.ledger.readOperation(id);
    if (!operation) throw new Error(`there is no operation ${id}`);
    return operation;
  }

  journal(id: string): Promise<JournalEntry[]> {
    return this.ledger.readJournal(id);
  }

  /** Until something of this name has been sent `times`. */
  async untilSent(name: Mutation['name'], times = 1, withinMs = MINUTE_MS): Promise<void> {
    const until = this.clock.monotonic() + withinMs;
    while (this.calls.filter((one) => one === name).length < times) {
      if (this.clock.monotonic() >= until) throw new Error(`${name} was not sent ${times} times`);
      await this.pass(10);
    }
  }

  sync(dryRun = false) {
    return this.during(this.domain.sync.run({ dryRun, reason: 'test' }));
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    if (this.fatal !== null) throw this.fatal;
  }

  /** Lets time pass until it is settled. */
  async during<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = work.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    while (!settled) await this.pass(50);
    return done;
  }

  /**
   * The next call of this name is lost on its way, and then the world changes, long before it is sent again.
   */
  loseThen(command: Mutation['name'], change: () => void): void {
    this.model.faults.add({ command, kind: 'fail-before-effect' });
    this.onSend = ({ name }) => {
      if (name !== command) return;
      change();
      this.onSend = () => {};
    };
  }

  /** The process dies without a word; another one begins on what it has left behind. */
  /** The daemon stops; `restart` begins another one. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.during(this.domain.ownership.stop());
  }

  async restart(downMs = 0): Promise<void> {
    await this.stop();
    await this.pass(downMs);
    this.stopping = new AbortController();
    this.domain = this.begin();
    await this.pass(100);
  }

  exported(volumeId: string): boolean {
    return [...this.server.served.values()].some((served) => served.volumeId === volumeId);
  }

  private begin(): Domain {
    const { clock, random, guest, ledger, cloud } = this;
    const { logger = silentLogger } = this.options;
    const watcher = new DeviceWatcher({ guest, clock, logger, inventory: createMemoryInventory() });
    const domain = compose(
      {
        ...{ ledger, cloud, guest, watcher, clock, random, logger },
        clockNotes: this.clockNotes,
        counters: guest,
        // Time stands still until it is told to pass, and so would rounds of the event loop.
        soon: queueMicrotask,
        exports: new MemoryExports(this.server),
      },
      {
        owner: 'test',
        instances: { mine: 'test', hasEnded: () => true },
        sizeToleranceBytes: 3 * GIB,
        policy: () => ({ ...policy, ...this.options.policy, applianceVmId: this.here }),
        ledger: () => ledger,
        identity: { view: { vmId: this.here, conflicts: [] }, require: () => this.here },
        stopping: this.stopping.signal,
        onOwnershipChanged: () => {},
        onFatal: (error) => {
          this.fatal = error;
        },
      },
    );
    void watcher.start().then(() => domain.ownership.start(this.here));
    return domain;
  }

  private watchSends(): void {
    const { submit, deleteVolume } = this.cloud;
    const tell = (command: Mutation) => {
      this.sent.push(command);
      this.onSend(command);
    };
    this.cloud.submit = async (command, jobId, departs) => {
      departs?.();
      tell(command);
      return submit.call(this.cloud, command, jobId);
    };
    this.cloud.deleteVolume = async (volumeId, departs) => {
      departs?.();
      tell({ name: 'deleteVolume', volumeId });
      return deleteVolume.call(this.cloud, volumeId);
    };
  }

  private async diskAt(path: string) {
    const { devices } = await this.guest.look();
    const device = devices.find((one) => one.path === path);
    return device ? { size: device.size, key: String(device.diskseq) } : null;
  }
}
