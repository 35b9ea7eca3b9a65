import { LIMITS } from '~/server/core/limits';
import { isTerminal, type Operation } from '~/server/model/operation';
import { Callers } from './callers';
import { HeldRows } from './held-rows';
import { Invariants } from './invariants';
import { mend, strike } from './mishaps';
import { moveIn } from './neighbour';
import type { DaemonProcess } from './process';
import { Processes } from './processes';
import { rowsAtRest } from './rows-at-rest';
import type { Script } from './script-items';
import { Violation, World } from './world';

/** Virtual ms after the last mishap within which everything must have ended. */
const HORIZON = 3 * 3_600_000;
/** By which the small steps back that are drawn (./script.ts) may add up. */
const CLOCK_STEPS_MS = 2 * 10_000;
/**
 * Virtual ms until no disk is on its way any more (the latest comes, or leaves, 12 s after its job:
 * hypervisorFault in ./script.ts) and a sync believes what it reads: an operation that ended before the clock
 * was set back seems to have ended a moment ago, and its volume is left for the next sync.
 */
const AT_REST_MS = LIMITS.READ_SETTLE_MS + CLOCK_STEPS_MS + LIMITS.CLOCK_STEP_MS + 1_000;
/** Events after which a schedule counts as running in circles. */
const EVENTS_MAX = 400_000;

export interface Outcome {
  readonly violation: { readonly invariant: string; readonly message: string } | null;
  readonly events: number;
  /** Virtual ms. */
  readonly time: number;
  readonly struck: Readonly<Record<string, number>>;
  readonly checks: Readonly<Record<string, number>>;
  readonly trace: readonly string[];
}

/** Runs one schedule to its end. The same script always has the same outcome. */
export async function runSchedule(script: Script, options: { trace?: boolean } = {}): Promise<Outcome> {
  const world = new World(script, options.trace ?? false);
  moveIn(world);
  const run = new Schedule(world);
  await run.toTheEnd();
  const { violation, scheduler, struck, lines } = world;
  const faults: Record<string, number> = { ...struck };
  for (const [kind, count] of Object.entries(world.model.faults.struck))
    faults[kind] = (faults[kind] ?? 0) + count;
  return {
    violation: violation && { invariant: violation.invariant, message: violation.message },
    events: scheduler.events,
    time: scheduler.time,
    struck: faults,
    checks: { ...run.invariants.checks, ...world.doors.checks, ...world.disks.checks, ...world.checks },
    trace: lines,
  };
}

class Schedule {
  readonly invariants: Invariants;
  private readonly processes: Processes;
  private readonly callers: Callers;
  private readonly held: HeldRows;
  private calmSince: number | null = null;

  constructor(private readonly world: World) {
    this.invariants = new Invariants(world);
    this.processes = new Processes(world);
    this.held = new HeldRows(world);
    world.restart = () => this.processes.startAll();
    this.callers = new Callers(world, () => this.processes.owner());
  }

  async toTheEnd(): Promise<void> {
    const { world } = this;
    const { scheduler, script } = world;
    for (const item of script.items) {
      scheduler.after(item.at, () => {
        if ('ask' in item) void this.callers.ask(item.ask);
        else strike(world, this.processes, item.mishap);
      });
    }
    this.processes.startAll();
    const last = script.items.at(-1)?.at ?? 0;
    scheduler.after(last + 1, () => void this.calm());
    await scheduler.run(() => this.isOver());
    world.over = true;
    world.model.stop();
  }

  private isOver(): boolean {
    const { world } = this;
    world.noteForServers();
    if (!this.processes.owner() || world.unreadable) world.watchedSince = world.scheduler.time;
    if (!world.over) this.processes.checkOwners();
    if (!world.over) this.invariants.afterEvent();
    if (!world.over && world.scheduler.events > EVENTS_MAX) world.fail('everything-ends', this.unfinished());
    return world.over;
  }

  /** With the faults off, everything must end; then a second sync must have nothing left to do. */
  private async calm(): Promise<void> {
    const { world } = this;
    const { scheduler } = world;
    this.calmSince = scheduler.time;
    for (const slot of this.processes.slots) slot.process?.gate.disarm();
    try {
      await this.held.decide(this.processes, () => this.callers.waiting);
      while (!this.isSettled()) {
        mend(world);
        this.processes.startAll();
        await this.held.decideAgain(this.processes.owner());
        if (scheduler.time - this.calmSince > HORIZON)
          throw new Violation('everything-ends', this.unfinished());
        await scheduler.sleep(2_000);
      }
      await this.sync();
      this.checkAnswered();
      await this.checkClocks();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      world.fail(error.invariant, error.message);
    }
    world.over = true;
  }

  private isSettled(): boolean {
    const { world } = this;
    if (this.callers.waiting > 0 || !this.processes.owner() || world.booting) return false;
    if (world.model.pendingJobs().length > 0) return false;
    return [...world.store.operations.values()].every(({ operation }) => isTerminal(operation.status));
  }

  /** Sync repairs what it may; a second one finds nothing more to repair. */
  private async sync(): Promise<void> {
    const { scheduler } = this.world;
    mend(this.world);
    await scheduler.sleep(AT_REST_MS);
    while (this.world.model.isDown()) await scheduler.sleep(1_000);
    const process = await this.awaitOwner();
    const timeout = () => scheduler.sleep(60_000).then(() => null);
    await Promise.race([process.trySync('end'), timeout()]);
    // The row of one that has left is an obstacle to the other, and goes first.
    if (this.world.script.world.twins === true) await Promise.race([process.trySync('end'), timeout()]);
    const second = await Promise.race([process.trySync('end again'), timeout()]);
    if (!second) throw new Violation('everything-ends', 'the last sync has not ended');
    const again = second?.drifts.filter(({ action }) => action === 'repaired' || action === 'failed') ?? [];
    if (again.length > 0)
      throw new Violation(
        'sync-converges',
        again.map(({ kind, volumeId, message }) => `${kind} ${volumeId}: ${message}`).join('; '),
      );
    this.checkRowsAtRest();
    await this.world.disks.atRest();
  }

  private checkRowsAtRest(): void {
    const { checks } = this.world;
    const complaint = rowsAtRest(this.world);
    if (complaint !== null) throw new Violation('rows-say-where-volumes-are', complaint);
    checks['rows-say-where-volumes-are'] = (checks['rows-say-where-volumes-are'] ?? 0) + 1;
  }

  private async awaitOwner(): Promise<DaemonProcess> {
    for (let second = 0; second < 60; second += 1) {
      const process = this.processes.owner();
      if (process) return process;
      await this.world.scheduler.sleep(1_000);
    }
    throw new Violation('everything-ends', 'nobody owns the appliance');
  }

  /** An operation that a caller was told of is there, and no request has made two. */
  private checkAnswered(): void {
    const { store } = this.world;
    const byKey = new Map<string, number>();
    for (const { operation } of store.operations.values())
      if (operation.idempotencyKey !== null)
        byKey.set(operation.idempotencyKey, (byKey.get(operation.idempotencyKey) ?? 0) + 1);
    const asked = [...store.operations.values()].filter(
      ({ operation }) => groupOf(operation) === null,
    ).length;
    if (asked > this.callers.answered.size)
      throw new Violation(
        'never-doubled',
        `${this.callers.answered.size} requests have made ${asked} operations`,
      );
    this.checkParts();
    for (const [key, id] of this.callers.answered) {
      if (id !== null && !store.operations.has(id))
        throw new Violation('never-lost', `operation ${id} is lost`);
      if ((byKey.get(key) ?? 0) > 1)
        throw new Violation('never-doubled', `the request ${key} has made two operations`);
    }
  }

  /** A group has begun one operation for each of its volumes, and at most one to take a snapshot back. */
  private checkParts(): void {
    const seen = new Set<string>();
    for (const { operation } of this.world.store.operations.values()) {
      const group = groupOf(operation);
      if (group === null) continue;
      const { snapshot_id: snapshotId } = { snapshot_id: null, ...operation.request };
      const part = `${group} ${operation.type} ${String(snapshotId ?? operation.volumeId)}`;
      if (seen.has(part)) throw new Violation('never-doubled', `a group has begun ${part} twice`);
      seen.add(part);
    }
  }

  /**
   * Everything is minutes old, or days where nobody started the daemon, whatever the clocks have come to say:
   * nothing is pruned, and no key forgotten that is kept for a day.
   */
  private async checkClocks(): Promise<void> {
    const { store, checks } = this.world;
    const process = await this.awaitOwner();
    const before = store.operations.size;
    await process.prune();
    const pruned = before - store.operations.size;
    if (pruned > 0) throw new Violation('nothing-young-is-pruned', `${pruned} operations were pruned`);
    const isYoung = this.world.scheduler.time < LIMITS.IDEMPOTENCY_TTL_MS;
    const [key] = isYoung ? await this.callers.forgotten(process) : [];
    if (key !== undefined) throw new Violation('keys-are-remembered', `the key ${key} was forgotten`);
    for (const promise of ['nothing-young-is-pruned', 'keys-are-remembered'])
      checks[promise] = (checks[promise] ?? 0) + 1;
  }

  private unfinished(): string {
    const open = [...this.world.store.operations.values()].filter(
      ({ operation }) => !isTerminal(operation.status),
    );
    const said = open.map(
      ({ operation }) =>
        `${operation.type} ${operation.id} ${operation.status} (${operation.waitReason ?? ''})`,
    );
    return `not over after ${Math.round(this.world.scheduler.time / 1000)} s and ${this.world.scheduler.events} events: ${said.join('; ') || 'no operation is open'}`;
  }
}

/** The operation that this one is a part of, or null. */
function groupOf({ request }: Operation): string | null {
  return 'group' in request && typeof request.group === 'string' ? request.group : null;
}
