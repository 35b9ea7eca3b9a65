import type { Effect, EffectKind } from '~/lab/cloudstack/history';
import { JOB_RETENTION_MS } from '~/lab/cloudstack/state/jobs';
import type { StoredEntry } from '~/lab/ledger/memory-store';
import { expectedSerial, shareSerial } from '~/server/devices/serial';
import { exportName, volumeIdOf } from '~/server/model/export-name';
import { isTerminal, type JournalEntry, type Mapping, type Operation } from '~/server/model/operation';
import { complaintAt, isDisturbed, leftByGroup, needlessRefusal } from './ends';
import { rowsOfTheirs } from './neighbour';
import type { World } from './world';

/**
 * ms within which a process that looks must have withdrawn the export of a disk that has vanished on its own.
 */
const GRACE = 3_000;
/** The same for what only a sync can see. */
const SYNC_GRACE = 130_000;

/** An attach may be undone and done again; these leave something behind each time. */
const ONCE_PER_OPERATION: ReadonlySet<EffectKind> = new Set(['snapshot', 'revert', 'delete-snapshot']);

/** CloudStack has done it, and the daemon has no usable answer. */
const ANSWERS_LOST = [
  'drop-reply-after-effect',
  'status-after-effect',
  'garbage',
  'slow-bytes',
  'late-reply',
] as const;

/** What is known of an operation from its journal alone. */
export interface Story {
  sequence: number;
  status: string;
  volumeId: string | null;
  begunAt: number;
  /** Job id → step, of every intent. */
  readonly intents: Map<string, string>;
  /** Job id → when CloudStack has last made a volume under it, virtual ms. */
  readonly madeAt: Map<string, number>;
  /** Jobs that CloudStack is known to have accepted, and of which no end is journaled. */
  readonly accepted: Set<string>;
  ended: Operation | null;
}

/**
 * Holds the whole world to the promises, after every event that has changed anything. It reads only what is
 * true (rows, CloudStack's effects, the guest's plugs), never what the daemon believes.
 */
export class Invariants {
  readonly stories = new Map<string, Story>();
  /** How often each promise was put to the test. */
  readonly checks: Record<string, number> = {};
  private entriesSeen = 0;
  private effectsSeen = 0;
  private readonly effectsOf = new Map<string, number>();
  /** When each of them was last, virtual ms. */
  private readonly effectAt = new Map<string, number>();
  private seen: readonly unknown[] = [];

  constructor(private readonly world: World) {}

  afterEvent(): void {
    const { world } = this;
    const { store, model, guest, server } = world;
    const now = [
      store.entries.length,
      store.mappings,
      store.exports,
      model.effects.length,
      guest.version,
      server.served.size,
    ];
    const same = now.every((value, index) => value === this.seen[index]);
    if (same) return;
    this.seen = now;
    this.readEntries();
    this.readEffects();
    this.checkRows();
    this.checkMappings();
    this.world.doors.checkMappings();
    this.world.disks.afterEvent();
    this.checkExports();
  }

  private fail(invariant: string, message: string): void {
    this.world.fail(invariant, message);
  }

  private count(invariant: string): void {
    this.checks[invariant] = (this.checks[invariant] ?? 0) + 1;
  }

  // ---- journal
  // --------------------------------------------------------------------------------------------------------

  private readEntries(): void {
    const { entries } = this.world.store;
    for (; this.entriesSeen < entries.length; this.entriesSeen += 1) {
      const stored = entries[this.entriesSeen];
      if (stored && stored.entry.operationId !== '') this.readEntry(stored);
    }
  }

  private readEntry({ entry }: StoredEntry): void {
    this.world.trace(
      () =>
        `journal ${entry.operationId.slice(0, 8)} ${entry.step} ${entry.state} ${JSON.stringify(entry.data)}`,
    );
    const story = this.storyOf(entry.operationId);
    if (entry.sequence !== story.sequence + 1)
      this.fail(
        'journal-has-no-gap',
        `operation ${entry.operationId}: entry ${entry.sequence} follows ${story.sequence}`,
      );
    story.sequence = entry.sequence;
    this.follow(story, entry);
  }

  private follow(story: Story, entry: JournalEntry): void {
    const { data, state, step, operationId } = entry;
    const jobId = typeof data.job_id === 'string' ? data.job_id : null;
    const straggler = data.straggler === true;
    if (isTerminalText(story.status) && !straggler)
      this.fail(
        'terminal-never-changes',
        `operation ${operationId} ended ${story.status}, and then: ${step} ${state}`,
      );
    if (step === 'operation' && (state === 'pending' || state === 'executing' || isTerminalText(state))) {
      if (state === 'executing') story.begunAt = this.world.scheduler.time;
      story.status = state;
    }
    if (state === 'intent' && jobId !== null) {
      if (story.intents.has(jobId)) this.fail('one-intent-per-job', `job ${jobId} was intended twice`);
      this.checkNoOtherJob(story, entry, jobId);
      this.world.disks.intended(story, entry);
      story.intents.set(jobId, step);
      if (data.ignore_users === true) this.world.forced.add(jobId);
      if (typeof data.vm_id === 'string') this.world.intendedVms.set(jobId, data.vm_id);
    }
    if (
      ['accepted', 'refused', 'finished'].includes(state) &&
      (jobId === null || story.intents.get(jobId) !== step)
    )
      this.fail('intent-before-answer', `operation ${operationId}: ${step} ${state} without its intent`);
    if (state === 'accepted' && jobId !== null) story.accepted.add(jobId);
    if ((state === 'finished' || state === 'refused') && jobId !== null) story.accepted.delete(jobId);
    if (step === 'create-volume' && typeof data.volume_id === 'string') story.volumeId = data.volume_id;
  }

  /** A new try while the job of the last one still runs is a blind resend. */
  private checkNoOtherJob(story: Story, { step, operationId }: JournalEntry, jobId: string): void {
    this.count('no-second-try-while-the-first-runs');
    for (const [earlier, of] of story.intents) {
      const job = this.world.model.jobs.get(earlier);
      if (of === step && job?.status === 0 && !job.lost)
        this.fail(
          'no-second-try-while-the-first-runs',
          `operation ${operationId}: ${step} is tried again as ${jobId} while job ${earlier} still runs`,
        );
    }
  }

  private storyOf(operationId: string): Story {
    const known = this.stories.get(operationId);
    if (known) return known;
    const story: Story = {
      sequence: 0,
      status: '',
      volumeId: null,
      begunAt: 0,
      intents: new Map(),
      madeAt: new Map(),
      accepted: new Set(),
      ended: null,
    };
    this.stories.set(operationId, story);
    return story;
  }

  // ---- effects
  // --------------------------------------------------------------------------------------------------------

  private readEffects(): void {
    const { effects } = this.world.model;
    for (; this.effectsSeen < effects.length; this.effectsSeen += 1) {
      const effect = effects[this.effectsSeen];
      if (effect) this.readEffect(effect);
    }
  }

  private readEffect(effect: Effect): void {
    const { kind, volumeId, jobId } = effect;
    this.world.trace(() => `effect ${kind} ${volumeId.slice(0, 8)} job ${jobId ?? '-'}`);
    this.count('each-effect-once');
    const key = `${kind} ${volumeId} ${jobId ?? ''}`;
    const times = (this.effectsOf.get(key) ?? 0) + 1;
    const undoneByOthers = this.isUndoneByOthers(volumeId, this.effectAt.get(key));
    this.effectsOf.set(key, times);
    this.effectAt.set(key, this.world.scheduler.time);
    // As often as it is deleted.
    if (times > 1 && kind !== 'recover' && !undoneByOthers)
      this.fail(
        'each-effect-once',
        `${kind} of ${volumeId} happened ${times} times (job ${jobId ?? 'none'})`,
      );
    if (kind === 'resize' || kind === 'revert') this.world.disks.resized(volumeId);
    if (kind === 'delete') {
      this.checkUnnumbered(volumeId, 'delete');
      this.checkKept(volumeId);
    } else if (kind === 'recover') this.checkUnnumbered(volumeId, 'recover');
    else this.checkIntended(effect);
  }

  /**
   * Long ago, and the answer was lost: CloudStack has deleted the job, and somebody has put the volume where
   * it was. Whether it was ever done is not to be known, and what was accepted is done.
   */
  private isUndoneByOthers(volumeId: string, beforeAt: number | undefined): boolean {
    const { scheduler, disturbed } = this.world;
    if (beforeAt === undefined || scheduler.time - beforeAt < JOB_RETENTION_MS) return false;
    return (disturbed.get(volumeId) ?? Number.NEGATIVE_INFINITY) > beforeAt;
  }

  private checkIntended({ kind, volumeId, vmId, jobId }: Effect): void {
    if (jobId !== null && this.world.byHand.has(jobId)) return;
    const operation = [...this.stories.entries()].find(
      ([, story]) => jobId !== null && story.intents.has(jobId),
    );
    if (!operation)
      this.fail(
        'no-effect-without-intent',
        `${kind} of ${volumeId || vmId}: no intent of job ${jobId ?? 'none'}`,
      );
    else if (kind === 'create') this.checkCreate(operation[0], operation[1], jobId ?? '');
    else if (ONCE_PER_OPERATION.has(kind)) this.checkOnce(kind, operation[0], operation[1]);
  }

  /**
   * A create whose answer and whose job are both lost is sent again, once its job has been denied for long
   * enough since that send: the only effect that may come twice, and it is named.
   */
  private checkCreate(operationId: string, story: Story, jobId: string): void {
    const { scheduler, model } = this.world;
    const made = this.madeBy(story);
    const lost = [...ANSWERS_LOST, 'lose-job' as const].map((kind) => model.faults.struck[kind] ?? 0);
    if (made.length > 1 + lost.reduce((sum, times) => sum + times, 0))
      this.fail('each-effect-once', `operation ${operationId} has created ${made.join(' and ')}`);
    const before = story.madeAt.get(jobId);
    story.madeAt.set(jobId, scheduler.time);
    if (before !== undefined && scheduler.time - before < this.world.policy.jobLostAfterMs)
      this.fail(
        'each-effect-once',
        `operation ${operationId} has created ${made.join(' and ')} within ${scheduler.time - before} ms`,
      );
  }

  /** No try of an operation repeats what an earlier try of it has done. */
  private checkOnce(kind: EffectKind, operationId: string, story: Story): void {
    const times = this.world.model.effects.filter(
      (one) => one.kind === kind && one.jobId !== null && story.intents.has(one.jobId),
    ).length;
    if (times > 1) this.fail('each-effect-once', `operation ${operationId}: ${kind} happened ${times} times`);
  }

  private madeBy(story: Story): string[] {
    return this.world.model.effects
      .filter(({ kind, jobId }) => kind === 'create' && jobId !== null && story.intents.has(jobId))
      .map(({ volumeId }) => volumeId);
  }

  private checkNamed(operation: Operation, story: Story): void {
    this.count('what-is-left-behind-is-named');
    const named = operation.response?.unclaimed;
    const left = this.madeBy(story).filter((id) => id !== operation.volumeId);
    const unnamed = left.filter((id) => !Array.isArray(named) || !named.includes(id));
    if (unnamed.length > 0 && left.every((id) => !this.world.model.conditions.hides(id)))
      this.fail(
        'what-is-left-behind-is-named',
        `${operation.id} has left ${unnamed.join(' and ')} without a word`,
      );
  }

  /** What has no job: of a delete or recover of this volume. */
  private checkUnnumbered(volumeId: string, type: 'delete' | 'recover'): void {
    if (this.world.administered.has(volumeId)) return;
    const wanted = [...this.stories].some(([id, story]) => {
      const operation = this.world.store.operations.get(id)?.operation;
      return (
        operation?.type === type &&
        operation.volumeId === volumeId &&
        [...story.intents.values()].includes(`${type}-volume`)
      );
    });
    if (!wanted) this.fail('no-effect-without-intent', `${type} of volume ${volumeId} without an intent`);
  }

  /** Where volumes go into the trash, none goes for good that has ever had content. */
  private checkKept(volumeId: string): void {
    const { script, administered, model } = this.world;
    if (script.world.trash !== true || administered.has(volumeId)) return;
    this.count('what-can-be-kept-is-not-expunged');
    if (model.effectsOf(volumeId, 'attach') > 0)
      this.fail('what-can-be-kept-is-not-expunged', `${volumeId} has been attached, and was expunged`);
  }

  // ---- rows
  // -----------------------------------------------------------------------------------------------------------

  private checkRows(): void {
    const executing = new Map<string, string>();
    for (const { operation } of this.world.store.operations.values()) {
      const story = this.stories.get(operation.id);
      if (operation.status === 'executing' && operation.volumeId !== '') {
        const other = executing.get(operation.volumeId);
        if (other)
          this.fail(
            'one-executing-per-volume',
            `${operation.id} and ${other} execute on ${operation.volumeId}`,
          );
        executing.set(operation.volumeId, operation.id);
      }
      if (!story) {
        this.fail('journal-replays-to-the-row', `operation ${operation.id} has no journal`);
        continue;
      }
      this.checkRow(operation, story);
    }
    this.count('one-executing-per-volume');
  }

  private checkRow(operation: Operation, story: Story): void {
    if (story.status !== operation.status)
      this.fail(
        'journal-replays-to-the-row',
        `operation ${operation.id} is ${operation.status}, its journal says ${story.status}`,
      );
    if (operation.type === 'create' && story.volumeId !== null && operation.volumeId !== story.volumeId)
      this.fail(
        'journal-replays-to-the-row',
        `create ${operation.id}: row ${operation.volumeId}, journal ${story.volumeId}`,
      );
    if (!isTerminal(operation.status)) return;
    const { ended } = story;
    if (!ended) {
      story.ended = operation;
      this.count(`ended-${operation.status}`);
      this.world.doors.checkFollowed(operation, story.accepted);
      this.world.disks.ended(operation, story);
      this.checkEnd(operation, story);
    } else if (ended !== operation && JSON.stringify(ended) !== JSON.stringify(operation)) {
      this.fail('terminal-never-changes', `operation ${operation.id} has changed after its end`);
    }
  }

  private checkEnd(operation: Operation, story: Story): void {
    const left = leftByGroup(this.world, operation);
    if (left.length > 0)
      this.fail('a-group-is-all-or-none', `operation ${operation.id} has left ${left.join(' and ')}`);
    if (operation.type === 'snapshot-group') this.count('a-group-is-all-or-none');
    this.checkRefusal(operation, story);
    if (operation.status !== 'completed') return;
    // From now on callers know it.
    if (operation.type === 'create') {
      this.world.volumes.push(operation.volumeId);
      this.checkNamed(operation, story);
    }
    if (isDisturbed(this.world, operation, story)) {
      this.count('ends-not-judged');
      return;
    }
    const invariant = `completed-${operation.type}`;
    this.count(invariant);
    const complaint = complaintAt(this.world, operation);
    if (complaint !== null)
      this.fail(invariant, `${operation.volumeId}: ${complaint} (operation ${operation.id})`);
  }

  /** Where lists are old, and nobody else has done anything to the volume. */
  private checkRefusal(operation: Operation, story: Story): void {
    const { world } = this;
    if (!world.script.world.serverLagsMs || isDisturbed(world, operation, story)) return;
    // What an undo has done whose job is called failed is not known to the next operation.
    if (
      [...world.model.jobs.values()].some((job) => job.instanceId === operation.volumeId && job.status === 2)
    )
      return;
    // Of what was done before it, an owner that has taken over knows the last operation alone.
    if ((world.store.appliances.get(world.applianceVmId)?.epoch ?? 0) > 1) return;
    this.count('no-refusal-by-an-old-read');
    const complaint = needlessRefusal(world, operation);
    if (complaint !== null)
      this.fail(
        'no-refusal-by-an-old-read',
        `${operation.volumeId}: ${complaint} (operation ${operation.id} ended ${operation.errorCode})`,
      );
  }

  // ---- mappings and exports
  // -------------------------------------------------------------------------------------------

  private checkMappings(): void {
    const paths = new Map<string, string>();
    const plugs = new Map<string, string>();
    for (const mapping of this.world.store.mappings.values()) {
      if (this.world.foreign.has(mapping.volumeId) && !this.world.visitors.has(mapping.volumeId))
        this.fail('foreign-volumes-get-no-row', `${mapping.volumeId} is mapped, and nobody named it`);
      this.claim(paths, `${mapping.vmId} ${mapping.devicePath}`, mapping.volumeId);
      if (mapping.vmId !== this.world.applianceVmId) continue;
      if (mapping.linuxState === 'detected' && mapping.diskseq !== null)
        this.claim(plugs, `${mapping.bootId} ${mapping.diskseq}`, mapping.volumeId);
      this.checkIdentity(mapping);
    }
    this.count('no-two-mappings-share-a-device');
    const theirs = rowsOfTheirs(this.world);
    if (theirs !== null) this.fail('rows-of-a-neighbour-stay', theirs);
    if (this.world.theirs.size > 0) this.count('rows-of-a-neighbour-stay');
    if (this.world.foreign.size > 0) this.count('foreign-volumes-get-no-row');
  }

  private claim(taken: Map<string, string>, what: string, volumeId: string): void {
    const other = taken.get(what);
    if (other)
      this.fail('no-two-mappings-share-a-device', `${volumeId} and ${other} are both mapped to ${what}`);
    taken.set(what, volumeId);
  }

  private checkIdentity({ volumeId, serial, bootId, diskseq, devicePath }: Mapping): void {
    this.count('a-mapping-is-right-or-absent');
    if (serial !== null && serial !== expectedSerial(volumeId))
      this.fail('a-mapping-is-right-or-absent', `the mapping of ${volumeId} has serial ${serial}`);
    if (diskseq === null) return;
    const truth = this.world.guest.volumeOf(bootId, diskseq);
    // Known limits: see docs/proofs/simulation.md.
    if (truth !== volumeId && !this.isLimit(volumeId, truth))
      this.fail(
        'a-mapping-is-right-or-absent',
        `${devicePath} (diskseq ${diskseq}) is mapped to ${volumeId} and is the disk of ${truth ?? 'nobody'}`,
      );
  }

  /**
   * The disk of a volume without a mapping to this guest, whose id begins alike, while that of the other one
   * is awaited.
   */
  private isLimit(volumeId: string, truth: string | null): boolean {
    const { store, applianceVmId } = this.world;
    if (truth === null || !shareSerial(volumeId, truth)) return false;
    return store.mappings.get(truth)?.vmId !== applianceVmId;
  }

  private checkExports(): void {
    const { world } = this;
    const { server, store, guest, applianceVmId } = world;
    for (const { volumeId } of store.exports.values())
      if (!store.mappings.has(volumeId))
        this.fail('exports-are-mapped', `the export row of ${volumeId} has no mapping`);
    const disks = server.served.size === 0 ? null : guest.volumesByPath();
    for (const [name, { volumeId, path }] of server.served) {
      this.count('an-export-serves-its-volume');
      if (volumeIdOf(name) !== volumeId || name !== exportName(volumeId))
        this.fail('an-export-serves-its-volume', `${name} is the export of ${volumeId}`);
      if (this.isUnnoticed(world.disturbed.get(volumeId), GRACE)) continue;
      const disk = disks?.get(path);
      if (disk !== undefined && disk !== volumeId)
        this.fail('an-export-serves-its-volume', `${name} leads to ${path}, which is the disk of ${disk}`);
      // What an operation works on, no sync touches: it may wait for minutes until there is room for a disk.
      if (world.unmapped.has(volumeId) && this.isBusy(volumeId))
        world.unmapped.set(volumeId, world.scheduler.time);
      const noticed = !this.isUnnoticed(world.unmapped.get(volumeId), SYNC_GRACE);
      if (noticed && store.mappings.get(volumeId)?.vmId !== applianceVmId)
        this.fail('exports-are-mapped', `${name} is served, and its volume is not mapped to the appliance`);
    }
  }

  private isBusy(volumeId: string): boolean {
    return [...this.world.store.operations.values()].some(
      ({ operation }) => operation.volumeId === volumeId && operation.status === 'executing',
    );
  }

  /** Something happened that no operation asked for, so recently that nobody who watches can have noticed. */
  private isUnnoticed(at: number | undefined, grace: number): boolean {
    const { scheduler, watchedSince, guest } = this.world;
    return at !== undefined && scheduler.time - Math.max(at, watchedSince, guest.changedAt) < grace;
  }
}

function isTerminalText(status: string): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}
