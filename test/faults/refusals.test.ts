import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { committedBy, type Statement } from '~/lab/faults/database-proxy';
import { Semaphore } from '~/server/core/concurrency/semaphore';
import { sleep } from './load/chance';
import { Rig } from './rig';

/**
 * Whatever the database refuses: the same process, 503 with Retry-After, not ready, the reason where people
 * look; and when it takes work again, everything that was accepted ends.
 */
const CREATE_MS = 400;
const PATIENCE_MS = 30_000;

interface Refused {
  readonly where: 'connecting' | 'reading and writing' | 'writing' | 'committing';
  readonly number: number;
  readonly state: string;
  readonly text: string;
  /** What the reason advises. */
  readonly remedy?: RegExp;
}

const REFUSALS: readonly Refused[] = [
  refusal('connecting', 1040, '08004', 'Too many connections', /limit of connections/),
  refusal('connecting', 1044, '42000', "Access denied for user 'u'@'%' to database 'd'", /GRANT/),
  refusal(
    'connecting',
    1045,
    '28000',
    "Access denied for user 'u'@'%' (using password: YES)",
    /DATABASE_DSN/,
  ),
  refusal('connecting', 1049, '42000', "Unknown database 'd'", /create the database/),
  refusal(
    'connecting',
    1129,
    'HY000',
    "Host '::1' is blocked because of many connection errors",
    /FLUSH HOSTS/,
  ),
  refusal('connecting', 1130, 'HY000', "Host '::1' is not allowed to connect to this server", /account/),
  refusal(
    'connecting',
    1203,
    '42000',
    "User u already has more than 'max_user_connections'",
    /limit of conn/,
  ),
  refusal('connecting', 1226, '42000', "User 'u' has exceeded the 'max_queries_per_hour'", /ALTER USER/),
  refusal('connecting', 1524, 'HY000', "Plugin 'unix_socket' is not loaded", /account that signs in/),
  refusal('connecting', 1698, '28000', "Access denied for user 'u'@'localhost'", /unix user/),
  refusal('connecting', 1862, 'HY000', 'Your password has expired', /EXPIRE NEVER/),
  refusal('connecting', 3118, 'HY000', 'Access denied for user u. Account is locked.', /ACCOUNT UNLOCK/),
  refusal('connecting', 3159, 'HY000', 'Connections using insecure transport are prohibited', /tls=true/),
  refusal('connecting', 4151, 'HY000', 'Access denied, this account is locked', /ACCOUNT UNLOCK/),
  refusal('reading and writing', 1047, '08S01', 'WSREP has not yet prepared node', /primary component/),
  refusal('reading and writing', 1142, '42000', "SELECT command denied to user 'u'@'%'", /GRANT/),
  refusal('reading and writing', 1146, '42S02', "Table 'd.volume_operations' doesn't exist", /backup/),
  refusal(
    'reading and writing',
    1820,
    'HY000',
    'You must SET PASSWORD before this statement',
    /EXPIRE NEVER/,
  ),
  refusal('reading and writing', 1030, 'HY000', 'Got error 28 "No space left on device"', /make room/),
  refusal('reading and writing', 7777, 'HY000', 'Nobody has heard of this error yet'),
  refusal('writing', 1021, 'HY000', 'Disk full; waiting for someone to free some space', /make room/),
  refusal('writing', 1114, 'HY000', "The table 'volume_operations' is full", /make room/),
  refusal('writing', 1142, '42000', "INSERT, UPDATE command denied to user 'u'@'%'", /GRANT/),
  refusal('writing', 1205, 'HY000', 'Lock wait timeout exceeded'),
  refusal('writing', 1290, 'HY000', 'The server is running with the --read-only option', /takes writes/),
  refusal('writing', 1644, '45000', 'Changes are frozen until Monday'),
  refusal('writing', 1665, 'HY000', 'Impossible to write to binary log', /ROW or MIXED/),
  refusal('writing', 1792, '25006', 'Cannot execute statement in a READ ONLY transaction', /takes writes/),
  refusal('writing', 1836, 'HY000', 'Running in read-only mode', /takes writes/),
  refusal('committing', 1105, 'HY000', 'Maximum writeset size exceeded', /wsrep_max_ws_size/),
  refusal('committing', 1180, 'HY000', "Got error 90 'Message too long' during COMMIT"),
  refusal('committing', 1213, '40001', 'Deadlock found when trying to get lock'),
];

function refusal(
  where: Refused['where'],
  number: number,
  state: string,
  text: string,
  remedy?: RegExp,
): Refused {
  return { where, number, state, text, ...(remedy && { remedy }) };
}

/**
 * Most of a refusal is waiting, so several appliances, each with a database of its own, go
 * through them side by side.
 */
const APPLIANCES = 4;
const turns = new Semaphore(APPLIANCES);
let free: Rig[] = [];

beforeAll(async () => {
  const begin = () => Rig.begin({ cloud: { latencies: { create: CREATE_MS } } });
  free = await Promise.all(Array.from({ length: APPLIANCES }, begin));
});
afterAll(() => Promise.all(free.map((rig) => rig.close())));

/** With an appliance that nobody else uses, and that is whole again afterwards. */
function onOne(use: (rig: Rig) => Promise<void>): Promise<void> {
  return turns.use(async () => {
    const rig = free.pop();
    if (rig === undefined) throw new Error('More turns than appliances');
    try {
      await use(rig);
    } finally {
      heal(rig);
      free.push(rig);
    }
  });
}

function inject(rig: Rig, { where, ...error }: Refused): void {
  if (where === 'connecting') {
    rig.database.greeting = error;
    rig.database.cutAll();
    return;
  }
  const hits = {
    'reading and writing': ({ text }: Statement) => /^\s*(select|insert|update|delete)/i.test(text),
    writing: ({ text }: Statement) => /^\s*(insert|update|delete)/i.test(text),
    committing: (statement: Statement) => committedBy(statement) !== null,
  }[where];
  rig.database.judge = (statement) => (hits(statement) ? { refusal: error } : null);
}

function heal(rig: Rig): void {
  rig.database.greeting = null;
  rig.database.judge = () => null;
}

function create(rig: Rig) {
  const { zoneId, diskOfferingId } = rig.lab.cloud;
  const name = crypto.randomUUID();
  const body = { name, size: 1024 ** 3, zone_id: zoneId, disk_offering_id: diskOfferingId };
  return { method: 'POST', path: '/api/v1/volumes', body } as const;
}

/** Asks until the answer is as wanted; a connection that is refused fails the test. */
async function answer(
  rig: Rig,
  path: string,
  wanted: number,
  has: RegExp,
  init?: RequestInit,
): Promise<Response> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const got = await fetch(rig.daemon.url + path, init);
    const text = await got.clone().text();
    if (got.status === wanted && has.test(text)) return got;
    if (performance.now() > deadline)
      throw new Error(`${path}: not ${wanted} with ${has}, but ${got.status}: ${text}`);
    await sleep(25);
  }
}

/** The text as JSON has it. */
function quoted(text: string): RegExp {
  return new RegExp(
    JSON.stringify(text)
      .slice(1, -1)
      .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'),
  );
}

function both(first: RegExp, second: RegExp): RegExp {
  return new RegExp(`(?=.*${first.source})(?=.*${second.source})`);
}

/** 503 with Retry-After, not ready, and the reason in health, on the page of readiness and in the log. */
async function refuses(rig: Rig, reason: RegExp, loggedBefore: number) {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify(create(rig).body);
  const refused = await answer(rig, '/api/v1/volumes', 503, /./, { method: 'POST', headers, body });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  await answer(rig, '/readyz', 503, reason);
  await answer(rig, '/api/v1/health', 200, both(/"database_health":"unhealthy"/, reason));
  expect(rig.daemon.log().slice(loggedBefore)).toMatch(reason);
}

async function goesThrough(
  rig: Rig,
  reason: RegExp,
  begin: () => Promise<unknown>,
  end: () => Promise<unknown>,
) {
  const { pid } = rig.daemon;
  const before = await rig.accepted(create(rig));
  const logged = rig.daemon.log().length;
  await begin();
  await refuses(rig, reason, logged);
  await end();
  await answer(rig, '/readyz', 200, /ready/);
  const ended = await answer(
    rig,
    `/api/v1/operations/${before.id}`,
    200,
    /"status":"(completed|failed|cancelled)"/,
  );
  expect(await ended.json()).toMatchObject({ status: 'completed' });
  expect((await rig.follow(create(rig))).status).toBe('completed');
  expect(rig.daemon.pid).toBe(pid);
  expect(() => process.kill(pid, 0)).not.toThrow();
}

describe('an error of the server, injected into the conversation', () => {
  it.concurrent.each(REFUSALS)('$where: $number $text', (one) =>
    onOne((rig) =>
      goesThrough(
        rig,
        quoted(one.text),
        async () => inject(rig, one),
        async () => {
          if (one.remedy) await answer(rig, '/readyz', 503, one.remedy);
          heal(rig);
        },
      ),
    ),
  );
});

describe('the common ones, made on the server itself', () => {
  const reconnecting = async (rig: Rig, texts: readonly string[]) => {
    for (const text of texts) await rig.lab.database.query(text);
    rig.database.cutAll();
  };
  const REAL: readonly (readonly [string, RegExp, readonly string[], readonly string[]])[] = [
    [
      'the account is locked',
      /ACCOUNT UNLOCK/,
      ["ALTER USER 'oma_user'@'%' ACCOUNT LOCK"],
      ["ALTER USER 'oma_user'@'%' ACCOUNT UNLOCK"],
    ],
    [
      'a right is revoked',
      /GRANT ALL/,
      ["REVOKE UPDATE ON migratekit_oma.* FROM 'oma_user'@'%'"],
      ["GRANT ALL ON migratekit_oma.* TO 'oma_user'@'%'"],
    ],
    [
      'TLS is demanded',
      /tls=true/,
      ["ALTER USER 'oma_user'@'%' REQUIRE SSL"],
      ["ALTER USER 'oma_user'@'%' REQUIRE NONE"],
    ],
    [
      'the password is changed',
      /check user, password/,
      ["ALTER USER 'oma_user'@'%' IDENTIFIED BY 'another'"],
      ["ALTER USER 'oma_user'@'%' IDENTIFIED BY 'oma_password'"],
    ],
    [
      'the account has used up its queries',
      /MAX_QUERIES_PER_HOUR 0/,
      ["ALTER USER 'oma_user'@'%' WITH MAX_QUERIES_PER_HOUR 1"],
      ["ALTER USER 'oma_user'@'%' WITH MAX_QUERIES_PER_HOUR 0", 'FLUSH USER_RESOURCES'],
    ],
    ['the server is read-only', /takes writes/, ['SET GLOBAL read_only = 1'], ['SET GLOBAL read_only = 0']],
  ];
  it.concurrent.each(REAL)('%s', (_name, reason, begin, end) =>
    onOne(async (rig) => {
      const over = () => reconnecting(rig, end);
      try {
        await goesThrough(rig, reason, () => reconnecting(rig, begin), over);
      } finally {
        await over();
      }
    }),
  );
});

describe('at the start too: it waits, says why, and starts by itself', () => {
  const comesUp = async (
    rig: Rig,
    reason: RegExp,
    remedy: RegExp | undefined,
    end: () => Promise<unknown>,
  ) => {
    await rig.restart('listening');
    const { pid: started } = rig.daemon;
    try {
      await refuses(rig, reason, 0);
      if (remedy) await answer(rig, '/readyz', 503, remedy);
    } finally {
      await end();
    }
    await answer(rig, '/readyz', 200, /ready/);
    expect(() => process.kill(started, 0)).not.toThrow();
  };

  it.concurrent.each(REFUSALS)('$where: $number $text', (one) =>
    onOne(async (rig) => {
      const before = await rig.accepted(create(rig));
      await rig.daemon.stop();
      inject(rig, one);
      await comesUp(rig, quoted(one.text), one.remedy, async () => heal(rig));
      const ended = await answer(rig, `/api/v1/operations/${before.id}?wait=25s`, 200, /"completed_at"/);
      expect(await ended.json()).toMatchObject({ status: 'completed' });
    }),
  );

  it.concurrent('the account is locked, on the server itself', () =>
    onOne(async (rig) => {
      const lock = (how: string) => rig.lab.database.query(`ALTER USER 'oma_user'@'%' ACCOUNT ${how}`);
      await rig.daemon.stop();
      await lock('LOCK');
      await comesUp(rig, /this account is locked/, /ACCOUNT UNLOCK/, () => lock('UNLOCK'));
    }));
});
