import { LIMITS } from '../../core/limits';

/**
 * What every session of ours is set to, whatever the server's globals, its init_connect or its configuration
 * say: each of these has a value that halves lists, loses writes or refuses statements.
 *
 * UTC; strict, so that nothing is silently cut, and a known syntax; every row of an answer; every statement
 * commits by itself outside a transaction; room to sort rows with JSON in them, by whole keys; keys are
 * checked; an end for what a vanished client left open. Comments hold what only
 * MariaDB or only MySQL has.
 */
function variables(idleMs: number, waiting: readonly string[]): string {
  return [
    "time_zone = '+00:00'",
    "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
    'autocommit = 1',
    'sql_select_limit = 18446744073709551615',
    'sql_big_selects = 1',
    'sql_safe_updates = 0',
    `sort_buffer_size = ${LIMITS.DATABASE_SORT_BYTES}`,
    'max_sort_length = 1024',
    'foreign_key_checks = 1',
    'unique_checks = 1',
    'group_concat_max_len = 1048576',
    "completion_type = 'NO_CHAIN'",
    ...waiting,
    `wait_timeout = ${idleMs / 1000}`,
  ].join(', ');
}

/**
 * The checks of MariaDB are those of its JSON columns. They look at the whole row at every update: one value
 * that another program has spoilt would refuse every change of that row, also the one that sets it aside.
 */
const MARIADB = `/*M!100300 , max_statement_time = 0, check_constraint_checks = 0,
  idle_transaction_timeout = ${LIMITS.DATABASE_IDLE_TRANSACTION_MS / 1000} */`;
const MYSQL = '/*!50708 , max_execution_time = 0 */';

/**
 * How long a statement waits for the lock of a row, and of a table (an ALTER or LOCK TABLES of another
 * program). Meanwhile it holds the appliance's row (../journal/fencing.ts), and the renewal of the lease
 * waits behind it.
 */
export function lockWaits(ms: number): readonly string[] {
  // Whole seconds
  const names = ['innodb_lock_wait_timeout', 'lock_wait_timeout'];
  return names.map((name) => `${name} = ${Math.ceil(ms / 1000)}`);
}

/**
 * The statements that begin a session; any that fails makes it unusable. READ COMMITTED, because the gap
 * locks of the default level make concurrent first writes deadlock, and nothing here reads twice.
 *
 * @param idleMs after so long without a statement the server ends the session
 * @param waiting how long it waits for locks; whoever changes the schema waits as long as the server lets it
 * @example
 * for (const statement of sessionStatements(LIMITS.DATABASE_IDLE_MS)) await connection.query(statement);
 */
export function sessionStatements(
  idleMs: number,
  waiting = lockWaits(LIMITS.DATABASE_LOCK_WAIT_MS),
): readonly string[] {
  return [
    // A mode that is strict would refuse what an administrator has bounded (--maximum-sort-buffer-size and
    // the like); a lax one takes as much of it as there may be.
    "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci, sql_mode = ''",
    `SET ${variables(idleMs, waiting)} ${MARIADB} ${MYSQL}`,
    'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE',
  ];
}
