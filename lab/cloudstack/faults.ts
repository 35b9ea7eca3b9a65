/** Faults of the exchange itself: the request or its reply. */
export const CALL_FAULTS = [
  /** The effect happens, the connection dies before the reply. */
  'drop-reply-after-effect',
  /** The connection is reset before anything happens. */
  'fail-before-effect',
  /** The error `code` instead of the call; 500, 502, 503 and 504 are pages of a load balancer. */
  'status',
  /** The effect happens, and the reply is the error `code`. */
  'status-after-effect',
  'html',
  /** The effect happens, the reply is cut in the middle. */
  'garbage',
  /** Raw control characters inside a string of the reply, as real servers send them. */
  'control-characters',
  'slow-bytes',
  /** `ms` before anything happens. */
  'delay',
  /** The effect happens, the reply comes `ms` later. */
  'late-reply',
  /** Something on the way sends the request twice; the reply is that of the second. */
  'duplicate-request',
  /** The reply comes twice on the connection. */
  'duplicate-reply',
] as const;

/** Faults of the job that a call started. "after-effect": what was asked for has been done all the same. */
export const JOB_FAULTS = [
  /** Once it has ended, nobody knows the job. */
  'lose-job',
  /** Failed, code 530 (or `code`), no result: what a management restart leaves. */
  'job-without-result',
  'job-without-result-after-effect',
  /** Failed, code 0, no result: what blocking the queue for an hour leaves. */
  'job-code-0',
  'job-code-0-after-effect',
  /** Failed with `code` and `text`. */
  'job-fails',
  'job-fails-after-effect',
  /** Succeeded, and nothing was done. */
  'job-without-effect',
  /**
   * 530: no primary storage fits, or none is known yet; what a first attach says seconds after a
   * start of the server.
   */
  'no-storage',
  /** 530: no host can be reached that would make the disk; likewise. */
  'no-endpoint',
  /** 530: the work could not be put into the queue of the VM. */
  'not-scheduled',
  /** 431: the VM is between two states. */
  'vm-busy',
] as const;

/** Faults of what does the work: the hypervisor's agent, the guest, the management server. */
const HYPERVISOR_FAULTS = [
  /** Phantom: CloudStack says attached, the guest never gets the disk. */
  'no-device',
  /** The guest gets the disk `ms` after CloudStack said attached. */
  'late-device',
  /**
   * Ghost: the guest has the disk, CloudStack says detached. On a detach the job succeeds, on an attach it
   * fails.
   */
  'ghost-disk',
  /** The detach fails as in apache/cloudstack#7316; the disk leaves `ms` later, or without `ms` never. */
  'detach-timeout',
  /**
   * The agent fails (`text`), after `ms` more: an attach or detach has no effect, a delete leaves the volume
   * in state Destroy and answers 530, the expunge of a VM leaves it destroyed, and a VM that is stopped by
   * force is called stopped while its guest runs on.
   */
  'agent-fails',
  /**
   * The management server restarts in the middle of the work; `work`, `stuck` and `ms` (down time)
   * as in RestartOptions.
   */
  'restart',
] as const;

/** Faults of what is read. */
const READ_FAULTS = [
  /** queryAsyncJobResult says that there is no such job, although there is. */
  'unknown-job',
  /**
   * Once the job of this command (or deleteVolume) has ended, lists show for `ms` the volume as it was
   * before.
   */
  'stale-read',
] as const;

export const FAULT_KINDS = [...CALL_FAULTS, ...JOB_FAULTS, ...HYPERVISOR_FAULTS, ...READ_FAULTS] as const;
export type CallFault = (typeof CALL_FAULTS)[number];
export type JobFault = (typeof JOB_FAULTS)[number];
export type FaultKind = (typeof FAULT_KINDS)[number];

export const RESTART_WORK = ['lost', 'hypervisor-only', 'completed'] as const;

export interface Fault<K extends FaultKind = FaultKind> {
  /** `attachVolume`, …, or `*`. */
  readonly command: string;
  readonly kind: K;
  /** How many more times; default 1. */
  readonly times?: number;
  readonly code?: number;
  readonly text?: string;
  readonly ms?: number;
  readonly work?: (typeof RESTART_WORK)[number];
  readonly stuck?: boolean;
}

interface Armed extends Fault {
  left: number;
}

/** The fault port: armed faults, taken one by one as commands come. */
export class Faults {
  private armed: Armed[] = [];
  /** How often each kind has struck. */
  readonly struck: Partial<Record<FaultKind, number>> = {};

  constructor(private readonly onStrike: (fault: Fault) => void) {}

  add(fault: Fault): void {
    this.armed.push({ ...fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.armed = [];
  }

  list(): readonly Fault[] {
    return this.armed.map(({ left, ...fault }) => ({ ...fault, times: left }));
  }

  /** The next armed fault of one of these kinds for this command, used up by one; null when there is none. */
  take<K extends FaultKind>(command: string, kinds: readonly K[]): Fault<K> | null {
    for (const fault of this.armed) {
      const kind = kinds.find((candidate) => candidate === fault.kind);
      if (kind === undefined) continue;
      if (fault.command !== '*' && fault.command.toLowerCase() !== command.toLowerCase()) continue;
      fault.left -= 1;
      if (fault.left <= 0) this.armed = this.armed.filter((other) => other !== fault);
      this.struck[kind] = (this.struck[kind] ?? 0) + 1;
      this.onStrike({ ...fault, command });
      return { ...fault, kind };
    }
    return null;
  }
}
