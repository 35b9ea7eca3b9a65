import type { DaemonProcess } from '~/lab/daemon';
import { DATABASE } from '~/lab/galera/galera-cluster';
import type { GaleraNode } from '~/lab/galera/galera-node';
import { MIGRATIONS } from '~/server/database/migrations/migrations';
import { Load } from './load';
import { type ClusterRig, follow, isReady, type Machine, sleep, untilReady } from './rig';

export interface Report {
  /** In words, with figures. */
  readonly lines: string[];
  /** What is not as it should be. */
  readonly wrong: string[];
}

type Say = (text: string) => void;

/** Three daemons of three appliances begin at once on an empty schema, each on a node of its own. */
export async function triple(rig: ClusterRig, times: number, say: Say): Promise<Report> {
  const wrong: string[] = [];
  const machines = [await rig.machine(), await rig.machine(), await rig.machine()];
  const took: number[] = [];
  let schema: string | null = null;
  for (let n = 1; n <= times; n += 1) {
    const database = `start_${n}`;
    await rig.cluster.createDatabase(database);
    const ends = await Promise.allSettled(
      machines.map((machine, index) =>
        rig.start(machine, rig.cluster.dsn(rotated(rig.cluster.nodes, index), database)),
      ),
    );
    const daemons: DaemonProcess[] = [];
    for (const end of ends)
      if (end.status === 'fulfilled') daemons.push(end.value);
      else wrong.push(`start ${n}: ${end.reason instanceof Error ? end.reason.message : String(end.reason)}`);
    took.push(...daemons.map(({ readyAfter }) => readyAfter));
    const found = await schemaOf(rig, database);
    schema ??= found;
    if (found !== schema) wrong.push(`start ${n}: the schema is another one than that of the first start`);
    const applied = await rig.rows('SELECT id FROM volume_daemon_migrations', database);
    if (applied.length !== MIGRATIONS.length)
      wrong.push(`start ${n}: ${applied.length} migrations are applied`);
    await Promise.all(daemons.map((daemon) => daemon.kill()));
    await rig.rows(`DROP DATABASE ${database}`).catch(() => []);
    if (n % 5 === 0) say(`${n} of ${times} triple starts`);
  }
  return {
    lines: [
      `three daemons at once on an empty schema: ${times} times, ${wrong.length} wrong, ready after ${range(took)}`,
    ],
    wrong,
  };
}

async function schemaOf(rig: ClusterRig, database: string): Promise<string> {
  const columns = await rig.rows(
    `SELECT table_name, column_name, column_type, is_nullable, extra FROM information_schema.columns
     WHERE table_schema = '${database}' ORDER BY table_name, column_name`,
  );
  const indexes = await rig.rows(
    `SELECT table_name, index_name, seq_in_index, column_name, non_unique FROM information_schema.statistics
     WHERE table_schema = '${database}' ORDER BY table_name, index_name, seq_in_index`,
  );
  return JSON.stringify([columns, indexes]);
}

/** Two daemons of one appliance, on two machines and two nodes: never two that say ready. */
export async function pair(rig: ClusterRig, samples: number, say: Say): Promise<Report> {
  const wrong: string[] = [];
  const [one, two, three] = rig.cluster.nodes;
  const machine = await rig.machine();
  const other = await rig.machine(machine);
  const first = await rig.start(machine, [one, two, three]);
  const second = await rig.start(other, [two, three, one], { until: 'listening' });
  await one.query('CREATE TABLE test_of_commit (id INT PRIMARY KEY, value CHAR(36))', [], DATABASE);
  const half = Math.ceil(samples / 2);
  let both = await sample([first, second], half);
  say('two daemons, under load');
  const load = new Load(rig, [{ machine, daemons: [first, second], remoteOnly: true }], 10);
  both += await sample([first, second], samples - half);

  say('kill -9 of the owner, under load');
  // A busy machine may have changed the owner already.
  const [owner, standby, its] = (await isReady(first)) ? [first, second, machine] : [second, first, other];
  await owner.kill();
  const afterKill = await untilReady([standby]);
  say(`taken over after ${Math.round(afterKill)} ms`);
  const again = await rig.start(its, [three, one, two], { until: 'listening', port: owner.port });
  await load.end();
  wrong.push(...load.wrong);

  const deaths: string[] = [];
  const kinds: readonly [
    string,
    (node: GaleraNode) => Promise<unknown>,
    (node: GaleraNode) => Promise<unknown>,
  ][] = [
    ['kill -9', (node) => node.kill(), (node) => node.start()],
    ['SIGSTOP', async (node) => node.freeze(), async (node) => node.thaw()],
    ['isolated', (node) => node.isolate(true), (node) => node.isolate(false)],
  ];
  const daemons = [again, standby];
  for (const [kind, begin, end] of kinds) {
    say(`the owner's node: ${kind}`);
    const victim = await nodeOfOwner(rig, machine);
    await begin(victim);
    const died = performance.now();
    let commits = 0;
    const cluster = commitsAgain(rig.cluster.nodes.filter((node) => node !== victim)).then(() => {
      commits = performance.now() - died;
    });
    both += await sampleWhile(daemons, () => writesAgain(rig, daemons));
    const took = performance.now() - died;
    await cluster;
    deaths.push(`${kind} ${Math.round(took)} ms (the cluster itself ${Math.round(commits)} ms)`);
    say(`written again after ${Math.round(took)} ms`);
    if (took > 10_000) wrong.push(`after ${kind} of the owner's node it took ${Math.round(took)} ms`);
    await end(victim);
    await rig.cluster.untilWhole();
  }
  if (both > 0) wrong.push(`${both} times both said that they are ready`);
  if (afterKill > 6_000) wrong.push(`take-over after kill -9 took ${Math.round(afterKill)} ms`);
  await Promise.all(daemons.map((daemon) => daemon.stop()));
  return {
    lines: [
      `two daemons of one appliance on two nodes: ${samples} samples idle and under load, and all through the deaths: ${both} times both ready`,
      `take-over after kill -9 of the owner on another machine: ${Math.round(afterKill)} ms (goal ≤ 6000 ms)`,
      `written again after the death of the owner's node: ${deaths.join(', ')} (goal ≤ 10000 ms)`,
    ],
    wrong,
  };
}

async function sample(daemons: readonly DaemonProcess[], samples: number): Promise<number> {
  let both = 0;
  for (let n = 0; n < samples; n += 1) {
    const ready = await Promise.all(daemons.map(isReady));
    if (ready.filter(Boolean).length > 1) both += 1;
    await sleep(50);
  }
  return both;
}

async function sampleWhile(daemons: readonly DaemonProcess[], work: () => Promise<void>): Promise<number> {
  let running = true;
  const working = work().finally(() => {
    running = false;
  });
  let both = 0;
  while (running) both += await sample(daemons, 1);
  await working;
  return both;
}

/** The node that the owner writes through: the one whose connections hold its lease. */
async function nodeOfOwner(rig: ClusterRig, { vmId }: Machine): Promise<GaleraNode> {
  const owner = (await rig.rows(`SELECT owner FROM appliances WHERE id = '${vmId}'`))[0]?.owner;
  const port = /:(\d+) pid/.exec(String(owner))?.[1];
  for (const node of rig.cluster.nodes) {
    // A daemon that stands by on another node only reads.
    const before = await writesOf(node);
    await sleep(2_500);
    if ((await writesOf(node)) > before) return node;
  }
  throw new Error(`the owner ${String(owner)} (port ${port}) writes to no node`);
}

/** Write sets that came from clients of this node. */
async function writesOf(node: GaleraNode): Promise<number> {
  const rows = await node.query("SHOW GLOBAL STATUS LIKE 'wsrep_replicated'");
  return Array.isArray(rows) ? Number(rows[0]?.Value) : 0;
}

/** Resolves when one of the nodes commits. */
async function commitsAgain(nodes: readonly GaleraNode[]): Promise<void> {
  const write = 'REPLACE INTO test_of_commit VALUES (1, UUID())';
  await Promise.any(nodes.map((node) => node.query(write, [], DATABASE)));
}

/** Resolves when a new operation has been accepted and has ended. */
async function writesAgain(rig: ClusterRig, daemons: readonly DaemonProcess[]): Promise<void> {
  const volume = rig.volume('written again');
  await follow(daemons, `/api/v1/volumes/${volume}/detach`, {});
}

type Fault = readonly [string, (nodes: readonly GaleraNode[], n: number) => Promise<void>];

const at = (nodes: readonly GaleraNode[], n: number): GaleraNode => {
  const node = nodes[n % nodes.length];
  if (!node) throw new Error('no node');
  return node;
};

const FAULTS: readonly Fault[] = [
  [
    'killed',
    async (nodes, n) => {
      await at(nodes, n).kill();
      await sleep(2_000);
      await at(nodes, n).start();
    },
  ],
  [
    'stopped (SIGSTOP)',
    async (nodes, n) => {
      at(nodes, n).freeze();
      await sleep(8_000);
      at(nodes, n).thaw();
    },
  ],
  [
    'isolated, not primary',
    async (nodes, n) => {
      await at(nodes, n).isolate(true);
      await sleep(8_000);
      await at(nodes, n).isolate(false);
    },
  ],
  [
    'refuses queries',
    async (nodes, n) => {
      await at(nodes, n).query("SET GLOBAL wsrep_reject_queries = 'ALL'");
      await sleep(4_000);
      await at(nodes, n).query("SET GLOBAL wsrep_reject_queries = 'NONE'");
    },
  ],
  [
    'read-only',
    async (nodes, n) => {
      await at(nodes, n).query('SET GLOBAL read_only = 1');
      await sleep(4_000);
      await at(nodes, n).query('SET GLOBAL read_only = 0');
    },
  ],
  [
    'no majority',
    async (nodes, n) => {
      at(nodes, n).freeze();
      at(nodes, n + 1).freeze();
      await sleep(9_000);
      at(nodes, n).thaw();
      at(nodes, n + 1).thaw();
    },
  ],
];

/** Three appliances, a daemon and a first node each, under load while one fault follows the other. */
export async function faults(rig: ClusterRig, operations: number, say: Say): Promise<Report> {
  const { nodes } = rig.cluster;
  const served = [];
  for (const index of nodes.keys()) {
    const machine = await rig.machine();
    served.push({ machine, daemons: [await rig.start(machine, rotated(nodes, index))] });
  }
  const load = new Load(rig, served, 30);
  const struck: Record<string, number> = {};
  const begun = performance.now();
  for (let n = 0; load.operations < operations || n < FAULTS.length; n += 1) {
    const [name, strike] = FAULTS[n % FAULTS.length] ?? ['', async () => {}];
    await sleep(1_000);
    await strike(nodes, n);
    await rig.cluster.untilWhole();
    struck[name] = (struck[name] ?? 0) + 1;
    say(`${load.operations} operations; ${name}`);
    if (load.wrong.length > 0) break;
  }
  await load.end();
  const seconds = (performance.now() - begun) / 1000;
  for (const [index, { daemons }] of served.entries())
    for (const daemon of daemons)
      if (!(await isReady(daemon))) load.wrong.push(`daemon ${index} is not ready at the end`);
  await Promise.all(served.flatMap(({ daemons }) => daemons).map((daemon) => daemon.stop()));
  const kinds = Object.entries(struck).map(([name, count]) => `${name} ${count}`);
  return {
    lines: [
      `three appliances on three nodes: ${load.operations} operations in ${seconds.toFixed(0)} s through ${kinds.join(', ')}: ${load.wrong.length} lost or doubled`,
    ],
    wrong: load.wrong,
  };
}

function rotated<T>(all: readonly T[], by: number): T[] {
  return [...all.slice(by), ...all.slice(0, by)];
}

function range(samples: readonly number[]): string {
  const sorted = [...samples].sort((a, b) => a - b);
  const ms = (value: number | undefined) => `${Math.round(value ?? 0)} ms`;
  return `${ms(sorted[Math.floor(sorted.length / 2)])} (longest ${ms(sorted.at(-1))})`;
}
