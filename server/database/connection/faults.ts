import { DaemonError, messageOf } from '../../core/errors';

/**
 * What a database error means for the one who met it.
 * - `rolled-back`: deadlock or lock timeout; nothing was written, the transaction may run again
 * - `lost`: the connection broke while a statement was on its way
 * - `away`: the server cannot be reached, or refuses to work for now; it comes back by itself or by an
 *   administrator
 * - `duplicate`, `no-parent`: a unique key, a foreign key
 */
export type Fault = 'rolled-back' | 'lost' | 'away' | 'duplicate' | 'no-parent' | 'other';

/** Numbers of MySQL 8 and MariaDB 10.6+ (their error references); mysql2 has names for only some of them. */
const BY_NUMBER: ReadonlyMap<number, Fault> = new Map<number, Fault>([
  [1213, 'rolled-back'], // deadlock; on clusters also at COMMIT
  [1205, 'rolled-back'], // lock wait timeout
  [1020, 'rolled-back'], // MariaDB: record has changed since last read
  [1062, 'duplicate'],
  [1452, 'no-parent'],
  [1053, 'lost'], // server shutdown in progress
  [1317, 'lost'], // query interrupted
  [1927, 'lost'], // connection was killed (MariaDB)
  [1969, 'lost'], // statement timeout (MariaDB)
  [3169, 'lost'], // session was killed (MySQL)
  [4031, 'lost'], // disconnected because of inactivity (MySQL)
  [1021, 'away'], // disk full
  [1040, 'away'], // too many connections
  [1041, 'away'], // out of memory
  [1044, 'away'], // no right on this database
  [1045, 'away'], // access denied
  [1047, 'away'], // Galera: this node is not ready
  [1049, 'away'], // unknown database
  [1114, 'away'], // table full
  [1129, 'away'], // host blocked
  [1130, 'away'], // host not allowed
  [1184, 'away'], // aborting connection
  [1203, 'away'], // too many connections of this user
  [1226, 'away'], // a resource limit of this user
  [1290, 'away'], // --read-only
  [1792, 'away'], // read only transaction
  [1836, 'away'], // read only mode
  [3159, 'away'], // MySQL: TLS is demanded
]);

const BY_CODE: ReadonlyMap<string, Fault> = new Map<string, Fault>([
  ['PROTOCOL_CONNECTION_LOST', 'lost'],
  ['PROTOCOL_SEQUENCE_TIMEOUT', 'lost'],
  ['PROTOCOL_PACKETS_OUT_OF_ORDER', 'lost'],
  ['PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR', 'lost'],
  ['ECONNRESET', 'lost'],
  ['EPIPE', 'lost'],
  ['ERR_STREAM_WRITE_AFTER_END', 'lost'],
  ['ERR_STREAM_DESTROYED', 'lost'],
  ['ETIMEDOUT', 'away'],
  ['ECONNREFUSED', 'away'],
  ['ENOENT', 'away'],
  ['EACCES', 'away'],
  ['EHOSTUNREACH', 'away'],
  ['ENETUNREACH', 'away'],
  ['ENOTFOUND', 'away'],
  ['EAI_AGAIN', 'away'],
  ['POOL_CLOSED', 'away'],
  ['HANDSHAKE_SSL_ERROR', 'away'],
  ['HANDSHAKE_NO_SSL_SUPPORT', 'away'],
]);

/** Texts of mysql2 that come without a code. */
const BY_TEXT: readonly (readonly [RegExp, Fault])[] = [
  [/closed state|Connection is closed/i, 'lost'],
  [/Queue limit reached|No connections available|Pool is closed/i, 'away'],
];

/** What kind of fault this is; looks through a DATABASE_UNAVAILABLE at its cause. */
export function faultOf(error: unknown): Fault {
  if (error instanceof DaemonError)
    return error.code === 'DATABASE_UNAVAILABLE' ? faultOf(error.cause) : 'other';
  if (!(error instanceof Error)) return 'other';
  const number = errorNumber(error);
  const code = errorCode(error);
  const known =
    (number === null ? undefined : BY_NUMBER.get(number)) ?? (code === null ? undefined : BY_CODE.get(code));
  const byText = known ?? BY_TEXT.find(([pattern]) => pattern.test(error.message))?.[1];
  return byText ?? ('fatal' in error && error.fatal === true ? 'lost' : 'other');
}

/** True when the connection must not be used again. Only a new one finds the writer after a failover. */
export function breaksConnection(error: unknown): boolean {
  const fault = faultOf(error);
  return fault === 'lost' || fault === 'away';
}

export function isDuplicate(error: unknown): boolean {
  return faultOf(error) === 'duplicate';
}

/** The same error as the domain knows it. Errors of ours and programming errors pass unchanged. */
export function translate(error: unknown): unknown {
  if (error instanceof DaemonError) return error;
  const fault = faultOf(error);
  if (fault !== 'lost' && fault !== 'away' && fault !== 'rolled-back') return error;
  const reason = errorCode(error) ?? messageOf(error);
  return new DaemonError('DATABASE_UNAVAILABLE', `The database is away: ${reason}${tlsHint(error)}`, {
    cause: error,
    retryAfterSeconds: 2,
  });
}

/** What is wrong with TLS, and the setting that mends it. */
function tlsHint(error: unknown): string {
  const text = messageOf(error);
  if (/insecure transport|secure_transport/i.test(text))
    return ': it takes TLS only: add tls=true to DATABASE_DSN, or name its CA in DATABASE_CA_FILE';
  if (errorCode(error) !== 'HANDSHAKE_SSL_ERROR' && !/altname/i.test(text)) return '';
  const name = /does not match certificate/i.test(text);
  return name
    ? `: ${text} (connect to a name that the certificate is for)`
    : `: ${text} (if this machine does not trust its certificate: name the CA in DATABASE_CA_FILE)`;
}

/** The server's number of an error, also of the cause of a DATABASE_UNAVAILABLE. */
export function errorNumber(error: unknown): number | null {
  if (error instanceof DaemonError) return errorNumber(error.cause);
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? error.errno : null;
}

function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
