import { ERRORS, type ErrorCode } from './error-catalogue';

export { ERRORS, type ErrorCode, storedErrorCode } from './error-catalogue';

/** One wrong field of a request: a JSON-pointer-like path and what is expected. */
export interface FieldIssue {
  readonly field: string;
  readonly message: string;
  /** The known name that was probably meant. */
  readonly nearest?: string;
}

export type ErrorDetails = Readonly<Record<string, unknown>>;

/**
 * The one error class of the domain. `message` is shown to callers and operators and never holds a secret.
 */
export class DaemonError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails | undefined;
  /** Seconds after which a retry makes sense (becomes Retry-After). */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: ErrorDetails | undefined; cause?: unknown; retryAfterSeconds?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DaemonError';
    this.code = code;
    this.details = options.details;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** The text of anything thrown, for logs and messages. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
