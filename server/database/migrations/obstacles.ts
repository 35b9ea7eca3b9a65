import { DaemonError } from '../../core/errors';
import { TYPES_OF_OLD } from './001-operations';

/** Sends one statement, whatever the connection is. */
type Ask = (statement: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/** Rows that stand in the way: how they are called, which they are, what to do. */
interface Check {
  readonly table: string;
  readonly what: string;
  readonly where: string;
  readonly remedy: string;
}

const TABLES = "('volume_operations', 'device_mappings', 'nbd_exports')";
/** Of each kind; whoever mends these is told of the next ones. */
const SHOWN = 3;
const IDS_CHARACTERS = 120;
const PATH_CHARACTERS = 255;
const TWICE = { when: 'HAVING COUNT(*) > 1', remedy: 'delete all but one' } as const;

/**
 * What an old database holds that our keys and columns refuse. Empty when there is nothing, and when it is
 * adopted. Only reads.
 *
 * @param missing ids of the migrations that have not run
 */
export async function findObstacles(ask: Ask, missing: readonly string[]): Promise<string[]> {
  if (!missing.includes(LAST_ADOPTING)) return [];
  const engines = await ask(
    `SELECT t.table_name AS name, t.engine AS engine FROM information_schema.tables t
       JOIN information_schema.engines e ON e.engine = t.engine
     WHERE t.table_schema = DATABASE() AND t.table_name IN ${TABLES} AND e.transactions = 'NO'`,
  );
  const found = engines.map(
    ({ name, engine }) => `${name} has no transactions: ALTER TABLE ${name} ENGINE=InnoDB (it is ${engine})`,
  );
  for (const { table, what, where, remedy } of await checksOf(ask)) {
    const rows = await ask(
      `SELECT ${what} AS what, GROUP_CONCAT(id ORDER BY id SEPARATOR ', ') AS ids FROM ${table} ${where} LIMIT ${SHOWN}`,
    );
    for (const row of rows) {
      const ids = String(row.ids).slice(0, IDS_CHARACTERS);
      found.push(`${table} has ${String(row.what)} (id ${ids}): ${remedy}`);
    }
  }
  return found;
}

async function checksOf(ask: Ask): Promise<Check[]> {
  const columns = await ask(
    `SELECT CONCAT(table_name, '.', column_name) AS place FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name IN ${TABLES} AND extra NOT LIKE '%GENERATED%'`,
  );
  const places = new Set(columns.map(({ place }) => String(place).toLowerCase()));
  const volume = ['volume_id', 'volume_uuid'].find((name) => places.has(`device_mappings.${name}`));
  return [
    ...(places.has('volume_operations.type') ? UNKNOWN_TYPES : []),
    ...(volume === undefined ? [] : checksOfMappings(volume)),
    ...(places.has('nbd_exports.export_name') ? [SAME_EXPORTS] : []),
  ];
}

function checksOfMappings(volume: string): Check[] {
  const table = 'device_mappings';
  return [
    {
      table,
      what: `CONCAT('volume ', MIN(${volume}), ' in several rows')`,
      // As we compare ids: other programs may have written one in capitals, or with blanks at its end.
      where: `WHERE ${volume} IS NOT NULL GROUP BY LOWER(TRIM(TRAILING ' ' FROM ${volume})) ${TWICE.when}`,
      remedy: TWICE.remedy,
    },
    {
      table,
      what: "CONCAT(MIN(device_path), ' of VM ', MIN(vm_id), ' in several rows')",
      where: `WHERE vm_id IS NOT NULL AND device_path IS NOT NULL GROUP BY vm_id, device_path ${TWICE.when}`,
      remedy: TWICE.remedy,
    },
    ...[volume, 'vm_id', 'device_path'].map((column) => ({
      table,
      what: `'rows without ${column}'`,
      where: `WHERE ${column} IS NULL HAVING COUNT(*) > 0`,
      remedy: 'delete them',
    })),
    {
      table,
      what: `'paths of more than ${PATH_CHARACTERS} characters'`,
      where: `WHERE CHAR_LENGTH(device_path) > ${PATH_CHARACTERS} HAVING COUNT(*) > 0`,
      remedy: 'shorten them',
    },
  ];
}

const UNKNOWN_TYPES: readonly Check[] = [
  ["'operations without type'", 'WHERE type IS NULL HAVING COUNT(*) > 0'],
  ["CONCAT('operations of type ', MIN(type))", `WHERE type NOT IN (${TYPES_OF_OLD}) GROUP BY type`],
].map(([what = '', where = '']) => ({
  table: 'volume_operations',
  what,
  where,
  remedy: `let them say which of ${TYPES_OF_OLD.replaceAll("'", '')} they were, or delete them`,
}));

const SAME_EXPORTS: Check = {
  table: 'nbd_exports',
  what: "CONCAT('the name ', MIN(export_name), ' in several rows')",
  where: `WHERE export_name IS NOT NULL GROUP BY export_name ${TWICE.when}`,
  remedy: TWICE.remedy,
};

/** The last migration that gives the tables of the old daemon their keys. */
const LAST_ADOPTING = '003-exports';

/**
 * Throws DATABASE_UNAVAILABLE before the first change: the migrations would be refused in their middle, in
 * words about keys and columns, and the old daemon can go on meanwhile.
 */
export async function requireNoObstacles(ask: Ask, missing: readonly string[]): Promise<void> {
  const obstacles = await findObstacles(ask, missing);
  if (obstacles.length === 0) return;
  throw new DaemonError(
    'DATABASE_UNAVAILABLE',
    `The database cannot be taken over as it is, and none of its tables was changed: ${obstacles.join('; ')}`,
    { retryAfterSeconds: 30 },
  );
}
