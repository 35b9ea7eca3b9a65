import type { Problem } from './api';

/** The daemon answered with an error. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail);
    this.name = 'Refusal';
  }

  /** The wrong fields of the request, in the daemon's words. */
  get fields(): readonly { readonly field: string; readonly message: string }[] {
    const fields = this.problem.details?.fields;
    return Array.isArray(fields) ? fields.filter(isIssue) : [];
  }

  /** The daemon is there, but does not take requests now. */
  get notReady(): boolean {
    return ['STARTING', 'STOPPING', 'STANDBY'].includes(this.problem.code);
  }
}

/** Nothing of the daemon was heard, or nothing that makes sense. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** The answer did not come within the time that was given. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow';
}

function isIssue(value: unknown): value is { field: string; message: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'field' in value &&
    'message' in value &&
    typeof value.field === 'string' &&
    typeof value.message === 'string'
  );
}
