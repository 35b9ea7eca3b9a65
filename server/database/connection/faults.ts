import { DaemonError, messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { describeAddress } from './dsn';
import { remedyFor, remedyForCode } from './remedies';

/**
 * What a database error means for the one who met it.
 * - `rolled-back`: deadlock or lock timeout; nothing was written, the transaction may run again
 * - `lost`: the connection broke while a statement was on its way
 * - `away`: the server cannot be reached, or refuses to work for now; it comes back by itself or by an
 *   administrator
 * - `duplicate`, `no-parent`: a unique key, a foreign key
 * - `refused`: the server works and does not take this row: a constraint, a column or a trigger. Ours fit
 *   what we write, so somebody has changed them; who mends that has the row written
 * - `other`: the statement is wrong: a mistake of this program, or an error that is no database's
 *
 * What a server may refuse is an open set (rights, quotas, locked accounts, read-only modes, clusters, disks,
 * and the next version's inventions). So the list is of what is known, and the rest is `away`.
 */
export type Fault = 'rolled-back' | 'lost' | 'away' | 'duplicate' | 'no-parent' | 'refused' | 'other';

/** Numbers of MySQL 8 and MariaDB 10.6+ (their error references); mysql2 has names for only some of them. */
const BY_NUMBER: ReadonlyMap<number, Fault> = new Map<number, Fault>([
  [1213, 'rolled-back'], // deadlock; on clusters also at COMMIT
  [1205, 'rolled-back'], // lock wait timeout
  [1020, 'rolled-back'], // MariaDB: record has changed since last read
  [1062, 'duplicate'],
  [1586, 'duplicate'],
  [1452, 'no-parent'],
  [1053, 'lost'], // server shutdown in progress
  [1317, 'lost'], // query interrupted
  [1927, 'lost'], // connection was killed (MariaDB)
  [1969, 'lost'], // statement timeout (MariaDB)
  [2006, 'lost'], // a proxy has lost its server
  [2013, 'lost'], // the same, during a statement
  [3024, 'lost'], // statement timeout (MySQL)
  [3169, 'lost'], // session was killed (MySQL)
  [4031, 'lost'], // disconnected because of inactivity (MySQL)
  [1064, 'other'], // syntax
  [1265, 'refused'], // a word that the ENUM has not
  [1364, 'refused'], // a column of another program has no default
  [1366, 'refused'], // a value that the column cannot hold
  [1644, 'refused'], // SIGNAL of a trigger
  [3819, 'refused'], // CHECK (MySQL)
]);

/**
 * Classes of SQLSTATE that are about what is written: numbers of columns, values, constraints, and what a
 * trigger signals without a class of its own.
 */
const CLASSES_OF_ROWS: readonly string[] = ['21', '22', '23', '45'];

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
  const answer = answerOf(error);
  if (answer) return faultOfAnswer(answer);
  const code = errorCode(error);
  const known = code === null ? undefined : BY_CODE.get(code);
  const byText = known ?? BY_TEXT.find(([pattern]) => pattern.test(error.message))?.[1];
  return byText ?? ('fatal' in error && error.fatal === true ? 'lost' : 'other');
}

/** True when the connection must not be used again. Only a new one finds the writer after a failover. */
export function breaksConnection(error: unknown): boolean {
  const fault = faultOf(error);
  return fault === 'lost' || fault === 'away';
}

/** Nothing came back in the time that a statement has. */
export function isSilence(error: unknown): boolean {
  return errorCode(error) === 'PROTOCOL_SEQUENCE_TIMEOUT';
}

/**
 * `key`: only of this one, which is ours: a trigger of another program may have met a row of its own table.
 */
export function isDuplicate(error: unknown, key = ''): boolean {
  return faultOf(error) === 'duplicate' && messageOf(error).includes(key);
}

/** The server works, and has refused a row: others may be taken. */
export function isOfRow(error: unknown): boolean {
  const fault = faultOf(error);
  return fault === 'refused' || fault === 'duplicate' || fault === 'no-parent';
}

/** The same error as the domain knows it. Errors of ours and programming errors pass unchanged. */
export function translate(error: unknown): unknown {
  if (error instanceof DaemonError) return error;
  return faultOf(error) === 'other' ? error : unavailable(error);
}

/**
 * For errors of connecting and of beginning a session: no statement of the domain has been sent, so whatever
 * the error is, the database is away. And for a refusal that is shown not to be about our own rows.
 */
export function unavailable(error: unknown): DaemonError {
  if (error instanceof DaemonError) return error;
  const what = isOfRow(error) ? 'The database refuses a row' : 'The database is away';
  return new DaemonError('DATABASE_UNAVAILABLE', `${what}: ${reasonOf(error)}`, {
    cause: error,
    retryAfterSeconds: 2,
  });
}

/** The name of the error, what the server says, and what may be done about it. */
function reasonOf(error: unknown): string {
  const text = messageOf(error).slice(0, LIMITS.DATABASE_REASON_CHARACTERS);
  const answer = answerOf(error);
  const remedy = answer === null ? remedyForCode(errorCode(error)) : remedyFor(answer.number, text);
  const advice = remedy === null ? '' : ` (${remedy})`;
  if (answer !== null) return `${errorCode(error) ?? `error ${answer.number}`}: ${text}${advice}`;
  const what = [errorCode(error) ?? text, placesOf(error).join(', ')].filter((part) => part !== '').join(' ');
  return `${what}${certificateHint(error)}${advice}`;
}

/** Where it was tried: Node tries every address of a name. */
function placesOf(error: unknown): string[] {
  if (error instanceof AggregateError) return [...new Set(error.errors.flatMap(placesOf))];
  if (!(error instanceof Error)) return [];
  if ('hostname' in error && typeof error.hostname === 'string') return [error.hostname];
  if (!('address' in error) || typeof error.address !== 'string') return [];
  const port = 'port' in error && typeof error.port === 'number' ? error.port : null;
  return [port === null ? error.address : describeAddress({ host: error.address, port, socketPath: null })];
}

/** What is wrong with a certificate, and the setting that mends it. */
function certificateHint(error: unknown): string {
  const text = messageOf(error);
  if (errorCode(error) !== 'HANDSHAKE_SSL_ERROR' && !/altname/i.test(text)) return '';
  return `: ${text} (${certificateRemedy(text)})`;
}

function certificateRemedy(text: string): string {
  if (/does not match certificate/i.test(text)) return 'connect to a name that the certificate is for';
  if (/certificate (?:has expired|is not yet valid)/i.test(text))
    return 'renew the certificate, or set the clock of this machine';
  return 'if the daemon does not trust its certificate: name the CA in DATABASE_CA_FILE';
}

/** The server's number of an error, also of the cause of a DATABASE_UNAVAILABLE. */
export function errorNumber(error: unknown): number | null {
  if (error instanceof DaemonError) return errorNumber(error.cause);
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? error.errno : null;
}

interface Answer {
  readonly number: number;
  readonly sqlState: string;
}

function faultOfAnswer({ number, sqlState }: Answer): Fault {
  return BY_NUMBER.get(number) ?? (CLASSES_OF_ROWS.includes(sqlState.slice(0, 2)) ? 'refused' : 'away');
}

/** The error packet of the server, or null: errors of the system have negative numbers or none. */
function answerOf(error: unknown): Answer | null {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') return null;
  if (error.errno <= 0) return null;
  const sqlState = 'sqlState' in error && typeof error.sqlState === 'string' ? error.sqlState : '';
  return { number: error.errno, sqlState };
}

function errorCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
