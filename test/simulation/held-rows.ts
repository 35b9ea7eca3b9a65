import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import type { Epoch, OperationChange, OperationFilter } from '~/server/model/ledger';
import { isTerminal, type JournalEntry, type Operation } from '~/server/model/operation';
import { mend } from './mishaps';
import type { DaemonProcess } from './process';
import type { Processes } from './processes';
import type { SeededRandom } from './random';
import type { Item, SpoiltRow } from './script-items';
import { Violation, type World } from './world';

/** Virtual ms within which everybody else must have ended although an operation is held. */
const HORIZON_MS = 3 * 3_600_000;
/** Virtual ms until systemd starts a daemon again that an operation has ended. */
const RESTART_MS = 1_000;

/** What ends the process of whoever works on a poison operation. */
export class Poison extends Error {}

/** The ledger with rows that another version or another program has spoilt. */
export class SpoiltLedger extends MemoryLedger {
  readonly spoilt = new Map<string, SpoiltRow['how']>();
  /** Operations whose journal somebody has read who could not understand it. */
  private readonly notUnderstood = new Set<string>();
  /** Told of an operation that is carried on by somebody who does not understand its journal. */
  onBlindAct: (operationId: string) => void = () => {};

  mend(id: string): void {
    this.spoilt.delete(id);
    this.notUnderstood.delete(id);
  }

  override async readOperation(id: string): Promise<Operation | null> {
    const operation = await super.readOperation(id);
    return operation && this.asRead(operation);
  }

  override async listOperations(filter: OperationFilter): Promise<Operation[]> {
    return (await super.listOperations(filter)).map((operation) => this.asRead(operation));
  }

  override async resumable(epoch: Epoch): Promise<Operation[]> {
    return (await super.resumable(epoch)).map((operation) => this.asRead(operation));
  }

  override async claim(epoch: Epoch, limit: number): Promise<Operation[]> {
    return (await super.claim(epoch, limit)).map((operation) => this.asRead(operation));
  }

  override async readJournal(id: string): Promise<JournalEntry[]> {
    const entries = await super.readJournal(id);
    const last = entries.at(-1);
    if (this.spoilt.get(id) !== 'journal' || !last) return entries;
    this.notUnderstood.add(id);
    const note = { ...last, state: 'note', unreadable: 'its state "hibernating" is not known' } as const;
    return [...entries.slice(0, -1), note];
  }

  override async append(epoch: Epoch, id: string, change: OperationChange): Promise<JournalEntry[]> {
    if (this.spoilt.get(id) === 'poison') throw new Poison(`operation ${id} ends whoever works on it`);
    const written = await super.append(epoch, id, change);
    if (this.notUnderstood.has(id)) this.onBlindAct(id);
    return written;
  }

  private asRead(operation: Operation): Operation {
    const how = this.spoilt.get(operation.id);
    if (how === 'type')
      return { ...operation, type: 'unreadable', request: {}, held: 'its type is not known' };
    if (how === 'request')
      return { ...operation, held: operation.held ?? 'its request is not a JSON object' };
    return operation;
  }
}

/**
 * An operation is under way, its row is spoilt, and whoever worked on it dies: the next one cannot understand
 * it. Told by a stream of chance of its own, so that every other schedule stays as it is.
 */
export function spoiltRowScene(random: SeededRandom, at: number, volume: number): Item[] {
  const row: SpoiltRow = {
    which: random.below(4),
    how: random.pick(['journal', 'type', 'request', 'poison']),
    release: random.pick(['retry', 'retry', 'abandon']),
  };
  const begun = Math.round(at);
  const spoiltAt = begun + 5 + random.below(2_500);
  const point = { of: 'any', call: 1 + random.below(4), side: 'before' } as const;
  return [
    {
      at: begun,
      ask: { kind: random.chance(0.7) ? 'attach' : 'detach', volume, where: 'here', force: false },
    },
    { at: begun + random.below(2_000), ask: { kind: 'attach', volume: volume + 1, where: 'here' } },
    { at: spoiltAt, mishap: { kind: 'row-spoilt', row } },
    { at: spoiltAt + 1, mishap: { kind: 'crash', who: 0, point, back: 100 } },
    { at: spoiltAt + 1, mishap: { kind: 'crash', who: 1, point, back: 100 } },
  ];
}

/** Holds the daemon to what it promises of held operations, and is the person who decides about them. */
export class HeldRows {
  private readonly releases = new Map<string, SpoiltRow['release']>();
  private restart: () => void = () => {};

  constructor(private readonly world: World) {
    world.ledger.onBlindAct = (id) =>
      world.fail('nobody-acts-on-what-it-cannot-read', `operation ${id} was carried on`);
  }

  strike({ which, how, release }: SpoiltRow, processes: Processes): void {
    const open = this.open();
    const operation = open[which % Math.max(open.length, 1)];
    if (!operation) return;
    this.restart = () => processes.startAll();
    this.world.strike(`row-spoilt-${how}`);
    this.world.ledger.spoilt.set(operation.id, how);
    this.releases.set(operation.id, release);
  }

  /** True when this end of a process was a poison operation's, after which it is started again. */
  hasEnded(error: unknown): boolean {
    if (!(error instanceof Poison)) return false;
    this.world.scheduler.after(RESTART_MS, this.restart);
    return true;
  }

  /** Everybody else comes to an end; each held operation is named; then it is released. */
  async decide(processes: Processes, waiting: () => number): Promise<void> {
    const { scheduler } = this.world;
    const until = scheduler.time + HORIZON_MS;
    while (this.releases.size > 0 && !this.othersHaveEnded(processes.owner(), waiting())) {
      mend(this.world);
      processes.startAll();
      if (scheduler.time > until)
        throw new Violation('a-held-operation-stops-nobody-else', this.saidOf(processes.owner()));
      await scheduler.sleep(2_000);
    }
    for (const [id, release] of this.releases) await this.release(id, release, processes);
    this.releases.clear();
  }

  private othersHaveEnded(owner: DaemonProcess | null, waiting: number): boolean {
    if (!owner || waiting > 0 || this.world.booting) return false;
    return this.open().every((operation) => this.isBlocked(operation, owner));
  }

  /**
   * It is held, or waits for one that is. Without serials an attach waits for every disk that may still come,
   * so there the spoilt ones alone are asked about.
   */
  private isBlocked({ id, volumeId }: Operation, owner: DaemonProcess): boolean {
    const held = owner.heldOperations();
    if (held.some((one) => one.id === id || (one.volumeId !== '' && one.volumeId === volumeId))) return true;
    return !this.world.script.world.serials && held.length > 0 && !this.releases.has(id);
  }

  private async release(id: string, how: SpoiltRow['release'], processes: Processes): Promise<void> {
    const { world } = this;
    const { scheduler, ledger, store } = world;
    for (;;) {
      const operation = store.operations.get(id)?.operation;
      const owner = processes.owner();
      if (!operation || isTerminal(operation.status)) break;
      if (owner?.heldOperations().some((one) => one.id === id)) {
        await this.checkNamed(id, owner);
        if (how === 'retry') ledger.mend(id);
        else world.disturb(operation.volumeId);
        await Promise.race([owner.operations[how](id).catch(() => null), scheduler.sleep(60_000)]);
        if (store.operations.get(id)?.operation.held === null) break;
      }
      await scheduler.sleep(500);
    }
    ledger.mend(id);
  }

  private async checkNamed(id: string, owner: DaemonProcess): Promise<void> {
    const { checks } = this.world;
    checks['a-held-operation-is-named'] = (checks['a-held-operation-is-named'] ?? 0) + 1;
    const read = await owner.operations.read(id).catch(() => null);
    const [listed] = (await owner.operations.list({ limit: 1_000 }).catch(() => [])).filter(
      (one) => one.id === id,
    );
    // A daemon that has just lost its database or its lease answers nobody.
    if ((read && read.held === null) || (listed && listed.held === null))
      throw new Violation('a-held-operation-is-named', `operation ${id} is held, and nothing says so`);
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
