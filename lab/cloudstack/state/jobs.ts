import type { Clock, Random } from '~/server/core/clock';
import { type Fault, type Faults, JOB_FAULTS, type JobFault, type RESTART_WORK } from '../faults';
import type { History } from '../history';
import { ApiError, type InstanceType, type Job, type JobResult } from '../records';
import type { Account } from './accounts';
import {
  badValue,
  createFailed,
  entityExists,
  idTaken,
  NO_ENDPOINT,
  NOT_SCHEDULED,
  noStorage,
  refused,
  VM_NEITHER,
} from './texts';

/** `job.expire.minutes`, as ms. */
export const JOB_RETENTION_MS = 1440 * 60_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What becomes of work that was going on when the management server restarted. */
export type RestartWork = (typeof RESTART_WORK)[number];

/** One run of a job, as its work sees it. */
export interface Run {
  readonly job: Job;
  /** `alive`, or what the restart that ended this run decided about its work. */
  fate(): 'alive' | RestartWork;
}

export interface Plan {
  /** `attachVolume`: what faults are named after. */
  readonly command: string;
  /** The VM in whose queue the work waits; null works at once. */
  readonly queue: string | null;
  /** The volume that texts are about. */
  readonly about?: { readonly id: string; readonly name: string };
  /** ms that a job takes which a fault keeps from doing anything. */
  readonly ms: number;
  /** The first look of the job, before it waits in the queue. Throws what the job fails with. */
  readonly check?: () => void;
  readonly work: (run: Run) => Promise<JobResult>;
  /** Told once, when the job has ended in whatever way. */
  readonly ended?: () => void;
}

interface NewJob {
  /** `AttachVolumeCmd` */
  readonly command: string;
  readonly by: Account;
  readonly instanceType: InstanceType;
  /** '' when the command named nothing that exists. */
  readonly instanceId: string;
  /** The caller's customjobid. */
  readonly wanted: string | null;
}

interface JobParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: Faults;
  readonly history: History;
  /** ms after which a job is forgotten, finished or not. */
  /** Resolves after ms, or when the simulator stops. */
  readonly sleep: (ms: number) => Promise<void>;
  readonly restart: (fault: Fault) => void;
}

/**
 * The asynchronous jobs: ids of the caller's choosing, one queue per VM, results, retention,
 * management restarts.
 */
export class Jobs {
  readonly all = new Map<string, Job>();
  private readonly queues = new Map<string, Promise<void>>();
  private readonly fates: RestartWork[] = [];
  private accepted = 0;

  constructor(private readonly parts: JobParts) {}

  /**
   * A new pending job. Throws 431 when the wanted id is no lower-case UUID or belongs to a job that is
   * pending, and 530 when that job has ended: only the pending ones are looked at before the row is written.
   */
  accept({ command, by, instanceType, instanceId, wanted }: NewJob): Job {
    this.purge();
    if (wanted !== null) this.allow(wanted);
    this.accepted += 1;
    const job: Job = {
      id: wanted ?? this.parts.random.uuid(),
      internalId: this.accepted,
      command,
      accountId: by.id,
      instanceType,
      instanceId,
      created: this.parts.clock.now(),
      completed: null,
      status: 0,
      resultCode: 0,
      result: null,
      lost: false,
    };
    this.all.set(job.id, job);
    this.parts.history.note('job-accepted', command, { jobId: job.id });
    return job;
  }

  /** Throws 431 for ids that never were; purged and lost jobs are the same. */
  query(id: string): Job {
    this.purge();
    const job = this.all.get(id.toLowerCase());
    if (!job || job.lost) throw badValue('queryAsyncJobResult', 'jobid', id);
    return job;
  }

  pending(): Job[] {
    this.purge();
    return [...this.all.values()].filter(({ status, lost }) => status === 0 && !lost);
  }

  /**
   * Does the work of an accepted job and writes its end as the server does, faults included. Never rejects.
   */
  async run(job: Job, plan: Plan): Promise<void> {
    const generation = this.fates.length;
    const run: Run = { job, fate: () => this.fates[generation] ?? 'alive' };
    const fault = this.parts.faults.take(plan.command, JOB_FAULTS);
    try {
      plan.check?.();
      const work = () => this.work(run, plan, fault);
      const result = await (plan.queue === null ? work() : this.queued(plan.queue, work));
      if (run.fate() === 'alive') this.end(job, endOf(fault, result, plan.about));
    } catch (error) {
      if (run.fate() === 'alive') this.end(job, failureOf(error));
    }
    if (fault?.kind === 'lose-job') job.lost = true;
    plan.ended?.();
  }

  /**
   * Every pending job fails with 530 and without a result; `work` is what becomes of what they were doing.
   */
  restart(work: RestartWork): void {
    this.fates.push(work);
    for (const job of this.pending()) this.end(job, { status: 2, resultCode: 530, result: null });
  }

  private allow(wanted: string): void {
    if (!UUID.test(wanted)) throw refused(`UUID: ${wanted} doesn't follow the UUID format`);
    const taken = this.all.get(wanted);
    if (taken) throw taken.status === 0 ? idTaken(wanted) : entityExists();
  }

  private async work(run: Run, plan: Plan, fault: Fault<JobFault> | null): Promise<JobResult | null> {
    // What still waited in the queue when the server restarted is never begun.
    if (run.fate() !== 'alive') return null;
    this.parts.history.note('job-started', plan.command, { jobId: run.job.id });
    const restart = this.parts.faults.take(plan.command, ['restart']);
    if (restart) void this.parts.sleep(plan.ms / 2).then(() => this.parts.restart(restart));
    if (!preventsWork(fault)) return plan.work(run);
    await this.parts.sleep(plan.ms);
    return null;
  }

  /** One at a time per VM; different VMs in parallel. Work in progress keeps its place across a restart. */
  private queued<T>(vmId: string, work: () => Promise<T>): Promise<T> {
    const result = (this.queues.get(vmId) ?? Promise.resolve()).then(work);
    this.queues.set(
      vmId,
      result.then(
        () => undefined,
        () => undefined,
      ),
    );
    return result;
  }

  private end(job: Job, fields: Pick<Job, 'status' | 'resultCode' | 'result'>): void {
    Object.assign(job, fields, { completed: this.parts.clock.now() });
    this.parts.history.note('job-ended', `${job.command} ${fields.status} ${fields.resultCode}`, {
      jobId: job.id,
    });
  }

  private purge(): void {
    const oldest = this.parts.clock.now() - JOB_RETENTION_MS;
    for (const job of this.all.values()) {
      // In the order they were made; what is younger than this has not ended before it either.
      if (job.created >= oldest) return;
      if ((job.completed ?? job.created) < oldest) this.all.delete(job.id);
    }
  }
}

function preventsWork(fault: Fault<JobFault> | null): boolean {
  switch (fault?.kind) {
    case 'job-without-result':
    case 'job-code-0':
    case 'job-fails':
    case 'job-without-effect':
    case 'no-storage':
    case 'no-endpoint':
    case 'not-scheduled':
    case 'vm-busy':
      return true;
    default:
      return false;
  }
}

function endOf(
  fault: Fault<JobFault> | null,
  result: JobResult | null,
  about: Plan['about'] = { id: '', name: '' },
): Pick<Job, 'status' | 'resultCode' | 'result'> {
  const code = fault?.code ?? 530;
  const kind = fault?.kind ?? null;
  switch (kind) {
    case 'job-without-result':
    case 'job-without-result-after-effect':
      return { status: 2, resultCode: code, result: null };
    case 'job-code-0':
    case 'job-code-0-after-effect':
      return { status: 2, resultCode: 0, result: null };
    case 'job-fails':
    case 'job-fails-after-effect':
      return failureOf(new ApiError(code, fault?.text ?? 'Failed for the test'));
    case 'no-storage':
      return failureOf(new ApiError(530, noStorage(about)));
    case 'no-endpoint':
      return failureOf(new ApiError(530, createFailed(about, NO_ENDPOINT)));
    case 'not-scheduled':
      return failureOf(new ApiError(530, NOT_SCHEDULED));
    case 'vm-busy':
      return failureOf(new ApiError(431, VM_NEITHER));
    case 'lose-job':
    case 'job-without-effect':
    case null:
      return { status: 1, resultCode: 0, result };
    default:
      return kind satisfies never;
  }
}

function failureOf(error: unknown): Pick<Job, 'status' | 'resultCode' | 'result'> {
  const code = error instanceof ApiError ? error.code : 530;
  const text = error instanceof Error ? error.message : String(error);
  return { status: 2, resultCode: code, result: { kind: 'error', code, text } };
}
