/** What can go wrong, for one command (or `*`), a number of times. */
export const FAULT_KINDS = [
  'drop-reply-after-effect',
  'fail-before-effect',
  'lose-job',
  'job-without-result',
  'job-without-result-after-effect',
  'job-fails',
  'job-fails-after-effect',
  'status',
  'html',
  'garbage',
  'control-characters',
  'slow-bytes',
  'delay',
  'no-device',
  'detach-timeout',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly command: string;
  readonly kind: FaultKind;
  /** How many more times; default 1. */
  readonly times?: number;
  /** `status`, `job-fails`: the error code. */
  readonly code?: number;
  readonly text?: string;
  /** `delay`, `slow-bytes`: ms. */
  readonly ms?: number;
}

interface Armed extends Fault {
  left: number;
}

const OF_THE_JOB = new Set<FaultKind>([
  'lose-job',
  'job-without-result',
  'job-without-result-after-effect',
  'job-fails',
  'job-fails-after-effect',
  'no-device',
  'detach-timeout',
]);

/** The fault port: armed faults, taken one by one as commands come. */
export class Faults {
  private armed: Armed[] = [];
  /** How often each kind has struck. */
  readonly struck: Record<string, number> = {};

  add(fault: Fault): void {
    this.armed.push({ ...fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.armed = [];
  }

  list(): readonly Fault[] {
    return this.armed;
  }

  /** The fault that strikes the transport of this call, if any. */
  takeCall(command: string): Fault | null {
    return this.take(command, (kind) => !OF_THE_JOB.has(kind));
  }

  /** The fault that strikes the job of this call, if any. */
  takeJob(command: string): Fault | null {
    return this.take(command, (kind) => OF_THE_JOB.has(kind));
  }

  private take(command: string, fits: (kind: FaultKind) => boolean): Fault | null {
    const found = this.armed.find(
      (fault) =>
        (fault.command === '*' || fault.command.toLowerCase() === command.toLowerCase()) && fits(fault.kind),
    );
    if (!found) return null;
    found.left -= 1;
    if (found.left <= 0) this.armed = this.armed.filter((fault) => fault !== found);
    this.struck[found.kind] = (this.struck[found.kind] ?? 0) + 1;
    return found;
  }
}
