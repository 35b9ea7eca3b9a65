import { ApiError } from '~/lab/cloudstack/records';
import type { CrashPoint } from './gate';
import { DaemonProcess } from './process';
import type { World } from './world';

/** systemd: starts the daemon again, however it ended. */
export class Slot {
  process: DaemonProcess | null = null;
  private runs = 0;

  constructor(
    private readonly world: World,
    private readonly name: string,
  ) {}

  start(): void {
    if (this.world.over || this.world.booting || this.process?.gate.alive) return;
    this.runs += 1;
    this.process = new DaemonProcess(this.world, `${this.name}.${this.runs}`);
    void this.process.start();
  }

  /** Dies at that point of its work, and comes back `back` ms after its death. */
  crash(point: CrashPoint, back: number): void {
    const { process } = this;
    if (!process?.gate.alive) return;
    process.gate.armCrash(point, () => this.comeBack(back));
  }

  pause(ms: number, atCall: boolean): void {
    if (atCall) this.process?.gate.armPause(ms);
    else this.process?.gate.pause(ms);
  }

  drain(back: number): void {
    const { process } = this;
    if (process?.gate.alive) void process.drain().then(() => this.comeBack(back));
  }

  kill(): void {
    this.process?.gate.die();
  }

  private comeBack(ms: number): void {
    this.world.scheduler.after(ms, () => this.start());
  }
}

export class Processes {
  readonly slots: readonly Slot[];

  constructor(private readonly world: World) {
    const names = ['A', 'B'].slice(0, world.script.world.daemons);
    this.slots = names.map((name) => new Slot(world, name));
  }

  at(index: number): Slot {
    const slot = this.slots[index % this.slots.length];
    if (!slot) throw new RangeError('no daemon');
    return slot;
  }

  startAll(): void {
    for (const slot of this.slots) slot.start();
  }

  /** Never two that say ready. */
  checkOwners(): void {
    const { world } = this;
    const owners = this.slots.flatMap(({ process }) => (process?.isOwner ? [process.name] : []));
    if (owners.length > 0 && this.slots.length > 1)
      world.checks['never-two-owners'] = (world.checks['never-two-owners'] ?? 0) + 1;
    if (owners.length > 1) world.fail('never-two-owners', `${owners.join(' and ')} both own the appliance`);
  }

  owner(): DaemonProcess | null {
    return this.slots.find(({ process }) => process?.isOwner)?.process ?? null;
  }

  /** The appliance is stopped and started by somebody: ghosts go, and what CloudStack has for it comes. */
  coldStart(ms: number): void {
    const { world } = this;
    const { model, scheduler, applianceVmId } = world;
    if (world.booting) return;
    this.goDown();
    const until = async (state: string, act: (jobId: string) => { id: string }) => {
      while (model.vms.find(({ id }) => id === applianceVmId)?.state !== state && !world.over) {
        await this.byHand(act);
        await scheduler.sleep(200);
      }
    };
    void until('Stopped', (jobId) => model.stopVm(applianceVmId, jobId))
      .then(() => until('Running', (jobId) => model.startVm(applianceVmId, jobId)))
      .then(() => world.guest.reboot({ shuffle: (disks) => disks }))
      .then(() => {
        for (const volumeId of world.guest.plugged()) world.guest.releaseSerial(volumeId);
        this.comeUp(ms);
      });
  }

  /** Resolves when the job has ended, or CloudStack has refused it. */
  private async byHand(act: (jobId: string) => { id: string }): Promise<void> {
    const { world } = this;
    const { model, random, scheduler, byHand } = world;
    const jobId = random.uuid();
    byHand.add(jobId);
    try {
      act(jobId);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
    while (model.jobs.get(jobId)?.status === 0 && !world.over) await scheduler.sleep(200);
  }

  /** The appliance restarts: every process dies, /run is empty, the letters are dealt anew. */
  reboot(ms: number): void {
    const { world } = this;
    if (world.booting) return;
    this.goDown();
    const shuffle = <T>(disks: readonly T[]) => world.random.shuffle(disks);
    void world.guest.reboot({ shuffle }).then(() => this.comeUp(ms));
  }

  /** Nobody starts them for so long; the machine and its exports go on. */
  stayAway(ms: number): void {
    const { world } = this;
    if (world.booting) return;
    world.booting = true;
    for (const slot of this.slots) slot.kill();
    world.scheduler.after(ms, () => this.letStart());
  }

  private letStart(): void {
    this.world.booting = false;
    this.startAll();
  }

  private goDown(): void {
    const { world } = this;
    world.booting = true;
    for (const slot of this.slots) slot.kill();
    world.server.served.clear();
    world.server.clients.clear();
    for (const volumeId of world.volumes) world.disturb(volumeId);
  }

  private comeUp(ms: number): void {
    const { world } = this;
    for (const volumeId of world.volumes) world.disturb(volumeId);
    world.bootedAt = world.scheduler.time;
    world.clockNote = null;
    world.guest.changed();
    world.scheduler.after(ms, () => this.letStart());
  }
}
