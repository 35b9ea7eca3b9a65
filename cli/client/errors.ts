import type { ProblemReply } from '~/server/http/schemas/problem';

/** The daemon answered with an error (RFC 9457 problem details). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: ProblemReply,
  ) {
    super(problem.detail);
    this.name = 'ApiError';
  }

  /** The invalid fields of the request, as the daemon reports them. */
  get fields(): readonly { readonly field: string; readonly message: string }[] {
    const fields = this.problem.details?.fields;
    return Array.isArray(fields) ? fields.filter(isIssue) : [];
  }

  /** The daemon runs, but does not serve requests at the moment. */
  get notReady(): boolean {
    return ['STARTING', 'STOPPING', 'STANDBY'].includes(this.problem.code);
  }
}

/** No connection, or the other end is not a volume daemon. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

/** No answer within the time limit. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
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
