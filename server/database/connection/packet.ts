import type { CompiledQuery, MysqlPoolConnection } from 'kysely';
import { z } from 'zod';
import type { Logger } from '../../core/log/logger';
import { errorNumber, faultOf } from './faults';
import type { Lane } from './lane';
import { pauseAfterLockWait } from './lock-pause';

/** What one statement of a packet wrote, or found. */
export interface StatementResult {
  /** 0 when its SELECT found nothing. */
  readonly rows: number;
  /** The number that the table gave to the first row; 0 without one. */
  readonly id: number;
  /** The rows of a SELECT. */
  readonly found: readonly unknown[];
}

/** mysql2 answers with a header for a write, with rows for a SELECT. */
const ANSWER = z.union([
  z
    .object({ affectedRows: z.number(), insertId: z.coerce.number() })
    .transform(({ affectedRows, insertId }) => ({ rows: affectedRows, id: insertId, found: [] })),
  z.array(z.unknown()).transform((found) => ({ rows: 0, id: 0, found })),
]);

/** Lanes whose last packets were refused: said once, for a proxy refuses every one of them. */
const refusing = new WeakSet<Lane>();

const BEGIN = 'START TRANSACTION';
const COMMIT = 'COMMIT';

/**
 * Runs statements as one transaction in one packet, so that a caller waits for one round trip. A statement
 * must decide by itself whether it writes, or fail and take the others along; what is read is for its locks.
 *
 * Null when nothing of it is certain: it was refused and rolled back (a proxy on the way may refuse several
 * statements in a text), or its answer was lost, after which it may have become true. Whoever asked has to
 * look, statement by statement, and meets the error again if it lasts. Never throws.
 */
export async function sendPacket(
  lane: Lane,
  statements: readonly CompiledQuery[],
  logger: Logger,
): Promise<readonly StatementResult[] | null> {
  try {
    return await send(lane, statements, logger);
  } catch (error) {
    await pauseAfterLockWait(error);
    return null;
  }
}

async function send(
  lane: Lane,
  statements: readonly CompiledQuery[],
  logger: Logger,
): Promise<readonly StatementResult[]> {
  const text = [BEGIN, ...statements.map(({ sql }) => sql), COMMIT].join('; ');
  const values = statements.flatMap(({ parameters }) => parameters);
  let connection: MysqlPoolConnection | null = null;
  try {
    connection = await connect(lane);
    const answers = await ask(connection, text, values);
    refusing.delete(lane);
    return resultsOf(answers, statements.length);
  } catch (error) {
    if (connection) await ask(connection, 'ROLLBACK', []).catch(() => {});
    if (connection && isRefusal(error)) {
      if (!refusing.has(lane))
        logger.warn('Several statements in one packet were refused; they go one by one', { error });
      refusing.add(lane);
    }
    throw error;
  } finally {
    connection?.release();
  }
}

/**
 * Not of what a statement met, which whoever looks meets again: of the text as it is. A proxy may do it with
 * any number.
 */
function isRefusal(error: unknown): boolean {
  const fault = faultOf(error);
  return (fault === 'away' && errorNumber(error) !== null) || fault === 'other';
}

function connect(lane: Lane): Promise<MysqlPoolConnection> {
  return new Promise((resolve, reject) => {
    lane.getConnection((error, connection) => (error ? reject(error) : resolve(connection)));
  });
}

function ask(connection: MysqlPoolConnection, text: string, values: readonly unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.query(text, [...values], (error, result) => (error ? reject(error) : resolve(result)));
  });
}

/** The first answer is that of START TRANSACTION, the last that of COMMIT. */
function resultsOf(answers: unknown, count: number): StatementResult[] {
  return z
    .array(ANSWER)
    .length(count + 2)
    .parse(answers)
    .slice(1, -1);
}
