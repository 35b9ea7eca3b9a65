import { DaemonError, messageOf } from '../runtime/errors';

/** Error codes of mysql2 and the server that mean "the database is away"; it comes back by itself or by an administrator. */
const AWAY = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOENT', 'EACCES', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH',
  'PROTOCOL_CONNECTION_LOST', 'PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR', 'PROTOCOL_SEQUENCE_TIMEOUT', 'POOL_CLOSED', 'ER_CON_COUNT_ERROR', 'ER_SERVER_SHUTDOWN',
  'ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR', 'ER_BAD_DB_ERROR', 'ER_OPTION_PREVENTS_STATEMENT', 'ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION', 'ER_READ_ONLY_MODE',
  'ER_DISK_FULL', 'ER_RECORD_FILE_FULL', 'ER_QUERY_INTERRUPTED', 'ER_CONNECTION_KILLED', 'ER_NEW_ABORTING_CONNECTION', 'ER_TOO_MANY_USER_CONNECTIONS', 'ER_USER_LIMIT_REACHED',
]);
/** MariaDB numbers that mysql2 has no name for: connection killed, statement timeout, aborting connection. */
const AWAY_NUMBERS = new Set([1053, 1927, 1969, 4031]);
const POOL_EXHAUSTED = /Queue limit reached|No connections available|Pool is closed|closed state/i;

export function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

function errorNumber(error: unknown): number | null {
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? error.errno : null;
}

/** Deadlock and lock timeout: the transaction was rolled back (or is by us) and may run again. */
export function mayRunAgain(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ER_LOCK_DEADLOCK' || code === 'ER_LOCK_WAIT_TIMEOUT' || code === 'ER_CHECKREAD';
}

export function isDuplicate(error: unknown): boolean {
  return errorCode(error) === 'ER_DUP_ENTRY';
}

/** The same error as the domain knows it. Errors of ours and programming errors pass unchanged. */
export function translate(error: unknown): unknown {
  if (error instanceof DaemonError) return error;
  const code = errorCode(error);
  const number = errorNumber(error);
  const away = (code !== null && AWAY.has(code)) || (number !== null && AWAY_NUMBERS.has(number)) || POOL_EXHAUSTED.test(messageOf(error));
  if (!away && !mayRunAgain(error)) return error;
  return new DaemonError('DATABASE_UNAVAILABLE', `The database is away: ${code ?? 'no connection'}`, { cause: error, retryAfterSeconds: 2 });
}
