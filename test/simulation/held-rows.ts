import { isTerminal, type Operation } from '~/server/model/operation';
import { mend } from './mishaps';
import type { DaemonProcess } from './process';
import type { Processes } from './processes';
import { allTellSerials, type SpoiltRow } from './script-items';
import { Violation, type World } from './world';

/** Virtual ms within which everybody else must have ended although an operation is held. */
const HORIZON_MS = 3 * 3_600_000;

/** Holds the daemon to what it promises of held operations, and is the person who decides about them. */
export class HeldRows {
  private readonly decided = new Set<string>();

  constructor(private readonly world: World) {
    world.ledger.onBlindAct = (id) =>
      world.fail('nobody-acts-on-what-it-cannot-read', `operation ${id} was carried on`);
  }

  /** Everybody else comes to an end; each held operation is named; then it is released. */
  async decide(processes: Processes, waiting: () => number): Promise<void> {
    const { scheduler } = this.world;
    const until = scheduler.time + HORIZON_MS;
    const { spoilt } = this.world.ledger;
    while (spoilt.size > 0 && !this.othersHaveEnded(processes.owner(), waiting())) {
      mend(this.world);
      processes.startAll();
      if (scheduler.time > until)
        throw new Violation('a-held-operation-stops-nobody-else', this.saidOf(processes.owner()));
      await scheduler.sleep(2_000);
    }
    if (spoilt.size > 0) this.count('a-held-operation-stops-nobody-else');
    for (const [id, { release }] of spoilt) await this.release(id, release, processes);
  }

  /**
   * A daemon that had read the row before it was mended may hold it once more after it was released: then the
   * person says it once more.
   */
  async decideAgain(owner: DaemonProcess | null): Promise<void> {
    const again = owner?.heldOperations().filter(({ id }) => this.decided.has(id)) ?? [];
    for (const { id } of again) if (owner) await this.answer(owner.operations.retry(id));
  }

  private othersHaveEnded(owner: DaemonProcess | null, waiting: number): boolean {
    if (!owner || waiting > 0 || this.world.booting) return false;
    return this.open().every((operation) => this.isBlocked(operation, owner));
  }

  /**
   * It is held, or waits for one that is. Where disks do not tell whose they are an attach waits for every
   * disk that may still come, so there the spoilt ones alone are asked about.
   */
  private isBlocked(operation: Operation, owner: DaemonProcess): boolean {
    const { id } = operation;
    const volumeId = this.volumeOf(operation);
    const held = owner.heldOperations();
    if (held.some((one) => one.id === id || (one.volumeId !== '' && one.volumeId === volumeId))) return true;
    if (operation.type === 'snapshot-group')
      return this.partsOf(id).some((part) => this.isBlocked(part, owner));
    const { script, muted, ledger } = this.world;
    const tells = allTellSerials(script.world) && muted.size === 0;
    return !tells && held.length > 0 && !ledger.spoilt.has(id);
  }

  /** A group waits for its parts, each of which waits as an operation of its own. */
  private partsOf(id: string): Operation[] {
    return this.open().filter(
      ({ type, request }) => (type === 'snapshot' || type === 'delete-snapshot') && request.group === id,
    );
  }

  /** The delete of a snapshot has no volume until it has its turn on it. */
  private volumeOf({ volumeId, ...operation }: Operation): string {
    if (operation.type !== 'delete-snapshot' || volumeId !== '') return volumeId;
    const { snapshots } = this.world.model.inventory;
    return snapshots.find(({ id }) => id === operation.request.snapshot_id)?.volumeId ?? '';
  }

  private async release(id: string, how: SpoiltRow['release'], processes: Processes): Promise<void> {
    const { world } = this;
    const { scheduler, ledger, store } = world;
    this.decided.add(id);
    for (;;) {
      const operation = store.operations.get(id)?.operation;
      const owner = processes.owner();
      if (!operation || isTerminal(operation.status)) break;
      if (owner?.heldOperations().some((one) => one.id === id)) {
        await this.checkNamed(id, owner);
        if (how === 'retry') ledger.mend(id);
        else world.disturb(operation.volumeId);
        await this.answer(owner.operations[how](id));
        if (store.operations.get(id)?.operation.held === null) break;
      }
      await scheduler.sleep(500);
    }
    ledger.mend(id);
  }

  private async checkNamed(id: string, owner: DaemonProcess): Promise<void> {
    this.count('a-held-operation-is-named');
    const read = await this.answer(owner.operations.read(id));
    const list = (await this.answer(owner.operations.list({ limit: 1_000 }))) ?? [];
    const listed = list.find((one) => one.id === id);
    // A daemon that has just lost its database or its lease answers nobody.
    if ((read && read.held === null) || (listed && listed.held === null))
      throw new Violation('a-held-operation-is-named', `operation ${id} is held, and nothing says so`);
  }

  /** Null when the daemon refuses, or dies before it answers. */
  private answer<T>(asked: Promise<T>): Promise<T | null> {
    return Promise.race([asked.catch(() => null), this.world.scheduler.sleep(60_000).then(() => null)]);
  }

  private count(promise: string): void {
    const { checks } = this.world;
    checks[promise] = (checks[promise] ?? 0) + 1;
  }

  private open(): Operation[] {
    const all = [...this.world.store.operations.values()];
    return all.map(({ operation }) => operation).filter(({ status }) => !isTerminal(status));
  }

  private saidOf(owner: DaemonProcess | null): string {
    const held = owner?.heldOperations().map(({ id }) => id) ?? [];
    const open = this.open().map(
      ({ id, type, status, waitReason }) => `${type} ${id} ${status} (${waitReason ?? ''})`,
    );
    return `held: ${held.join(', ') || 'none'}; open: ${open.join('; ')}`;
  }
}
