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

  /** The invalid fields of the request, as the daemon reports them with VALIDATION_FAILED. */
  get fields(): readonly { readonly field: string; readonly message: string }[] {
    const fields = this.problem.details?.fields;
    return Array.isArray(fields) ? fields : [];
  }

  /** The daemon runs, but does not serve requests at the moment. */
  get notReady(): boolean {
    return ['STARTING', 'STOPPING', 'STANDBY'].includes(this.problem.code);
  }
}

/** No connection, or the other end is not a volume daemon. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
  constructor(
    message: string,
    /** False when the request has certainly reached nobody. */
    readonly mayHaveArrived = true,
  ) {
    super(message);
  }
}

/** The file holds no token that could be sent: nobody was asked. */
export class TokenFileError extends Error {
  override readonly name = 'TokenFileError';
}

/** No answer within the time limit. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

/** The problem details in the body of a response, null when it is not from a volume daemon. */
export function problemIn(text: string): ProblemReply | null {
  try {
    const value: ProblemReply | null = JSON.parse(text);
    return typeof value?.code === 'string' && typeof value.detail === 'string' ? value : null;
  } catch {
    return null;
  }
}
