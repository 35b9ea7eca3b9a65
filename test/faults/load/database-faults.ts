import { committedBy, type Ruling, type Statement } from '~/lab/faults/database-proxy';
import { LIMITS } from '~/server/core/limits';
import type { Rig } from '../rig';
import { Chance, percentile, sleep } from './chance';
import { Load, type LoadReport } from './clients';

/** Begins, lasts and ends one fault; resolves at its end. */
type Fault = (rig: Rig, chance: Chance) => Promise<void>;

const DATABASE = 'migratekit_oma';
const USER = 'oma_user';
/** ms within which a fault that waits for a statement must have found one. */
const STRIKE = 10_000;

const isCommit = (statement: Statement) => committedBy(statement) !== null;
const isInTransaction = ({ before }: Statement) => before.length > 0;
const any = () => true;

/** By name, for the report. */
const FAULTS: Readonly<Record<string, Fault>> = {
  'connection cut before a statement': strike(any, { before: cut }),
  'connection cut after a statement': strike(any, { after: cut }),
  'COMMIT lost': strike(isCommit, { before: cut }),
  'answer to COMMIT lost': strike(isCommit, { after: cut }),
  'answer cut in the middle': async (rig, chance) =>
    strike(any, { answerBytes: chance.between(1, 10) })(rig, chance),
  'deadlock (1213)': strike(isInTransaction, {
    instead: failing(1213, '40001', 'Deadlock found when trying to get lock'),
  }),
  'deadlock at COMMIT (1213)': strike(isCommit, {
    instead: failing(1213, '40001', 'Deadlock: wsrep aborted transaction'),
  }),
  'lock timeout (1205)': strike(isInTransaction, {
    instead: failing(1205, 'HY000', 'Lock wait timeout exceeded'),
  }),
  'every connection cut': async (rig) => rig.database.cutAll(),
  'sessions killed by the server': killSessions,
  'row locked by somebody else': lockRow,
  'half-open, then alive': frozen('delivered'),
  'half-open for ever': frozen('lost'),
  slow: lasting(
    (rig, chance) => {
      rig.database.delay = chance.between(5, 60);
    },
    (rig) => {
      rig.database.delay = 0;
    },
  ),
  refused: lasting(
    (rig) => {
      rig.database.refuse();
      rig.database.cutAll();
    },
    (rig) => rig.database.listen(),
  ),
  'too many connections (1040)': lasting(
    (rig) => {
      rig.database.greeting = { number: 1040, state: '08004', text: 'Too many connections' };
      rig.database.cutAll();
    },
    (rig) => {
      rig.database.greeting = null;
    },
  ),
  'read-only (1290)': lasting(
    (rig) => rig.lab.database.query('SET GLOBAL read_only = 1'),
    (rig) => rig.lab.database.query('SET GLOBAL read_only = 0'),
  ),
  'server killed and restarted': async (rig, chance) => {
    await rig.lab.database.kill();
    await sleep(chance.between(0, 500));
    await rig.lab.database.restart();
  },
};

export interface DatabaseFaultsReport extends LoadReport {
  readonly faults: number;
  readonly seed: number;
  readonly clients: number;
  readonly byKind: Readonly<Record<string, number>>;
  /** ms from the end of a fault to the end of an operation asked for at that moment. */
  readonly recovered: {
    readonly p50: number;
    readonly p95: number;
    readonly max: number;
    readonly slowest: string;
  };
}

export interface DatabaseFaultsOptions {
  readonly faults: number;
  readonly seed: number;
  readonly clients: number;
  readonly onProgress?: (text: string) => void;
}

/**
 * Faults one after the other, every kind as often as the others, in an order that the seed decides, under
 * load.
 */
export async function runDatabaseFaults(
  rig: Rig,
  { faults, seed, clients, onProgress = () => {} }: DatabaseFaultsOptions,
): Promise<DatabaseFaultsReport> {
  const chance = new Chance(seed);
  const { pid } = rig.daemon;
  const load = new Load(rig, clients);
  const byKind: Record<string, number> = {};
  const recovered: { ms: number; kind: string }[] = [];
  let left: string[] = [];
  for (let n = 1; n <= faults; n += 1) {
    if (left.length === 0) left = Object.keys(FAULTS);
    const kind = chance.pick(left);
    left = left.filter((other) => other !== kind);
    await FAULTS[kind]?.(rig, chance);
    byKind[kind] = (byKind[kind] ?? 0) + 1;
    const ms = await probe(rig);
    recovered.push({ ms, kind });
    onProgress(`${n} of ${faults}: ${kind}, recovered after ${Math.round(ms)} ms`);
  }
  const report = await load.end();
  const times = recovered.map(({ ms }) => ms);
  const max = percentile(times, 100);
  const slowest = recovered.find(({ ms }) => ms === max)?.kind ?? '';
  return {
    ...report,
    wrong: [...report.wrong, ...(await aftermath(rig, pid))],
    faults,
    seed,
    clients,
    byKind,
    recovered: { p50: percentile(times, 50), p95: percentile(times, 95), max, slowest },
  };
}

export function textOfDatabaseFaults(report: DatabaseFaultsReport): string {
  const { faults, seed, clients, byKind, rounds, operations, wrong, recovered } = report;
  const ms = (value: number) => `${Math.round(value)} ms`;
  return [
    `database faults: ${faults} (seed ${seed}) under load from ${clients} clients: ${operations} operations in ${rounds} rounds, ${wrong.length} wrong`,
    `recovered after the end of the fault: p50 ${ms(recovered.p50)}, p95 ${ms(recovered.p95)}, max ${ms(recovered.max)} (${recovered.slowest}; goal ≤ 10000 ms)`,
    ...Object.entries(byKind).map(([kind, times]) => `  ${times} × ${kind}`),
    ...wrong,
  ].join('\n');
}

/** ms until an operation that is asked for now has come to its end, through every part that writes. */
async function probe(rig: Rig): Promise<number> {
  const begun = performance.now();
  await rig.follow({ method: 'POST', path: `/api/v1/volumes/${crypto.randomUUID()}/detach` });
  return performance.now() - begun;
}

/** The same process, a pool of its old size, and nothing in the log that nobody has handled. */
async function aftermath(rig: Rig, pid: number): Promise<string[]> {
  const wrong: string[] = [];
  if (rig.daemon.pid !== pid) wrong.push('the daemon was started again');
  const log = rig.daemon.log();
  for (const text of ['programming error', 'nhandled', 'uncaught'])
    if (log.includes(text)) wrong.push(`the log speaks of "${text}"`);
  const sessions = await rig.rows('SELECT COUNT(*) AS n FROM information_schema.processlist WHERE user = ?', [
    USER,
  ]);
  const open = Number(sessions[0]?.n);
  // The pool, those for effects, and one each for the lease, acceptances and the journal.
  const most = LIMITS.DATABASE_CONNECTIONS + LIMITS.DATABASE_EFFECT_CONNECTIONS + 3;
  if (!(open >= 1 && open <= most))
    wrong.push(`${open} connections are open, at most ${most} are meant to be`);
  return wrong;
}

/** One statement (of the next few that fit) meets this ruling. */
function strike(fits: (statement: Statement) => boolean, ruling: Ruling): Fault {
  return async (rig, chance) => {
    let skip = chance.between(0, 6);
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no statement came to be struck')), STRIKE);
      rig.database.judge = (statement) => {
        if (!fits(statement) || skip-- > 0) return null;
        rig.database.judge = () => null;
        clearTimeout(late);
        resolve();
        return ruling;
      };
    });
  };
}

function cut(): Promise<'cut'> {
  return Promise.resolve('cut');
}

/** The server itself answers with this error packet. */
function failing(errno: number, state: string, text: string): string {
  return `SIGNAL SQLSTATE '${state}' SET MYSQL_ERRNO = ${errno}, MESSAGE_TEXT = '${text}'`;
}

/** Something that holds for a while. */
function lasting(begin: (rig: Rig, chance: Chance) => unknown, end: (rig: Rig) => unknown): Fault {
  return async (rig, chance) => {
    await begin(rig, chance);
    await sleep(chance.between(100, 1_000));
    await end(rig);
  };
}

function frozen(standing: 'delivered' | 'lost'): Fault {
  return lasting(
    (rig) => rig.database.freeze(),
    (rig) => rig.database.thaw(standing),
  );
}

async function killSessions(rig: Rig): Promise<void> {
  const sessions = await rig.rows('SELECT id FROM information_schema.processlist WHERE user = ?', [USER]);
  // One that has ended meanwhile is no longer there to be killed.
  for (const { id } of sessions) await rig.lab.database.query(`KILL ${Number(id)}`).catch(() => undefined);
}

/** A real lock, held longer than the daemon waits for one in a third of the cases. */
async function lockRow(rig: Rig, chance: Chance): Promise<void> {
  const ms = chance.between(1, 3) === 3 ? LIMITS.DATABASE_LOCK_WAIT_MS + 500 : 300;
  const seconds = ms / 1_000;
  await rig.lab.database.query(
    `SELECT SLEEP(${seconds}) FROM appliances WHERE id = ? FOR UPDATE`,
    [rig.appliance],
    DATABASE,
  );
}
