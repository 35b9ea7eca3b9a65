import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { cpuTime, distribution, machine, residentMiB, times } from './measure';

const HELP = `npm run bench [-- --json] [-- --save]

Measures the built daemon on a private MariaDB (default durability) with a simulated CloudStack that answers at once.

  --json   print the figures as JSON instead of a table
  --save   keep the figures as bench/baseline.json, which later runs compare themselves with
`;

interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The goal of the design, as a limit on the value; null where there is none. */
  readonly goal: number | null;
  readonly detail: string;
}

const BASELINE = fileURLToPath(new URL('./baseline.json', import.meta.url));
const QUICK = { create: 1, attach: 1, detach: 1, remove: 1 };

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) return void process.stdout.write(HELP);
  const lab = await startAppliance({
    cloud: { latencies: QUICK },
    env: { NBD_BACKEND: 'none', LOG_LEVEL: 'warn' },
  });
  const figures: Figure[] = [];
  const add = (what: string, value: number, unit: string, goal: number | null, detail = '') =>
    figures.push({ what, value, unit, goal, detail });
  const addTimes = (what: string, samples: readonly number[], goal: number | null) => {
    const { n, p50, p99, min, max } = distribution(samples);
    add(`${what}, p50`, p50, 'ms', null, `n=${n} min ${min.toFixed(2)} max ${max.toFixed(2)}`);
    add(`${what}, p99`, p99, 'ms', goal, `n=${n}`);
  };
  try {
    const first = await lab.startDaemon();
    await first.stop();
    // Measured on a prepared schema, as every start but the first.
    const daemon = await lab.startDaemon();
    add('start to ready', daemon.readyAfter, 'ms', 1000);
    const api = new ApiClient(daemon.url);
    add('resident memory after the start', residentMiB(daemon.pid), 'MiB', 120);

    progress('device visible → operation completed');
    const seen: number[] = [];
    const mapped: number[] = [];
    const volumeId = (
      await api.end(
        await api.post<OperationReply>('/api/v1/volumes', {
          name: 'bench',
          size: 1024 ** 3,
          zone_id: lab.cloud.zoneId,
          disk_offering_id: lab.cloud.diskOfferingId,
        }),
      )
    ).volume_id;
    for (let run = 0; run < 100; run += 1) {
      const ended = await api.end(
        await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, {
          vm_id: lab.cloud.applianceVmId,
        }),
      );
      const visible = lab.cloud.model.effects.findLast((effect) => effect.kind === 'attach')?.at ?? 0;
      seen.push(Math.max(0, Date.parse(completedAt(ended)) - visible));
      const journal = await api
        .get<{ step: string; state: string; at: string }[]>(`/api/v1/operations/${ended.id}/journal`)
        .catch(() => []);
      const map = journal.find(({ step, state }) => step === 'map' && state === 'done');
      if (map) mapped.push(Math.max(0, Date.parse(map.at) - visible));
      await api.end(await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`));
    }
    addTimes('device visible → attach completed', seen, 150);
    if (mapped.length > 0) addTimes('device visible → mapping committed', mapped, 150);

    progress('1,000 operations through the engine');
    const through = await times(1000, 16, () =>
      api.post<OperationReply>(`/api/v1/volumes/${randomUUID()}/detach`),
    );
    await settled(api);
    add('accepted while the engine works, 16 clients', through.perSecond, '1/s', null);

    progress('queries');
    const operation = (await api.get<OperationReply[]>('/api/v1/operations?limit=1'))[0]?.id ?? '';
    addTimes(
      'GET operation',
      (await times(500, 1, () => api.get(`/api/v1/operations/${operation}`))).samples,
      50,
    );
    addTimes(
      'GET operations?limit=100',
      (await times(200, 1, () => api.get('/api/v1/operations?limit=100'))).samples,
      50,
    );
    addTimes(
      'GET operations?status=failed&type=detach',
      (await times(200, 1, () => api.get('/api/v1/operations?status=failed&type=detach'))).samples,
      50,
    );
    addTimes('GET metrics', (await times(200, 1, () => api.get('/api/v1/metrics'))).samples, 20);
    addTimes('GET health', (await times(200, 1, () => api.get('/api/v1/health'))).samples, 20);
    await api.end(
      await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, {
        vm_id: lab.cloud.applianceVmId,
      }),
    );
    addTimes(
      'GET mapping of a volume',
      (await times(500, 1, () => api.get(`/api/v1/volumes/${volumeId}/device`))).samples,
      50,
    );

    progress('idle for 20 s');
    const before = cpuTime(daemon.pid);
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    add('idle CPU', (cpuTime(daemon.pid) - before) / 200, '% of a core', 0.5);
    add('resident memory after the load', residentMiB(daemon.pid), 'MiB', 120);
    const begun = performance.now();
    const code = await daemon.stop();
    add('drain (SIGTERM to exit)', performance.now() - begun, 'ms', 10_000, `exit code ${code}`);
  } finally {
    await lab.close();
  }
  await benchAccept(add, addTimes);
  report(figures, args);
}

type Add = (what: string, value: number, unit: string, goal: number | null, detail?: string) => void;

/** Accepting alone: CloudStack never answers, so the engine stands still and only the requests are measured. */
async function benchAccept(
  add: Add,
  addTimes: (what: string, samples: readonly number[], goal: number | null) => void,
): Promise<void> {
  progress('accept: POST → 201');
  const lab = await startAppliance({
    cloud: { latencies: QUICK },
    env: { NBD_BACKEND: 'none', LOG_LEVEL: 'warn' },
  });
  try {
    const daemon = await lab.startDaemon();
    const api = new ApiClient(daemon.url);
    lab.cloud.model.faults.add({ command: '*', kind: 'delay', ms: 600_000, times: 1_000_000 });
    const detach = () => api.post<OperationReply>(`/api/v1/volumes/${randomUUID()}/detach`);
    // Enough to fill the engine: what comes later is accepted and stays pending.
    await times(400, 16, detach);
    addTimes('accept an operation, 1 client', (await times(1000, 1, detach)).samples, 10);
    const bare = await bareInserts(lab.database);
    const many = await times(3000, 50, detach);
    add(
      'accept, 50 clients',
      many.perSecond,
      '1/s',
      null,
      `bare INSERT + COMMIT ${bare.toFixed(0)}/s, ratio ${(many.perSecond / bare).toFixed(2)} (goal ≥ 0.6)`,
    );
    await daemon.kill();
  } finally {
    await lab.close();
  }
}

/** What the database itself can do: one client after another would be unfair, so 50 connections as well. */
async function bareInserts(
  database: Awaited<ReturnType<typeof startAppliance>>['database'],
): Promise<number> {
  const { createPool } = await import('mysql2/promise');
  const pool = createPool({
    host: database.host,
    port: database.port,
    user: 'oma_user',
    password: 'oma_password',
    database: 'migratekit_oma',
    connectionLimit: 10,
  });
  await pool.query('CREATE TABLE bench_bare (id CHAR(36) PRIMARY KEY, data VARCHAR(500)) ENGINE=InnoDB');
  const { perSecond } = await times(2000, 50, () =>
    pool.query('INSERT INTO bench_bare VALUES (?, ?)', [randomUUID(), 'x'.repeat(300)]),
  );
  await pool.query('DROP TABLE bench_bare');
  await pool.end();
  return perSecond;
}

async function settled(api: ApiClient): Promise<void> {
  const open = async (status: string) =>
    (await api.get<unknown[]>(`/api/v1/operations?status=${status}&limit=1`)).length;
  while ((await open('pending')) + (await open('executing')) > 0)
    await new Promise((resolve) => setTimeout(resolve, 100));
}

function completedAt(operation: OperationReply): string {
  return 'completed_at' in operation && typeof operation.completed_at === 'string'
    ? operation.completed_at
    : '';
}

function progress(text: string): void {
  process.stderr.write(`▸ ${text}\n`);
}

function report(figures: readonly Figure[], args: readonly string[]): void {
  const result = { machine: machine(), date: new Date().toISOString(), figures };
  if (args.includes('--save')) writeFileSync(BASELINE, `${JSON.stringify(result, null, 2)}\n`);
  if (args.includes('--json')) return void process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  const baseline: { figures: Figure[] } = existsSync(BASELINE)
    ? JSON.parse(readFileSync(BASELINE, 'utf8'))
    : { figures: [] };
  const width = Math.max(...figures.map(({ what }) => what.length));
  process.stdout.write(
    `\n${result.machine}\n\n${'figure'.padEnd(width)}  ${'value'.padStart(12)}  ${'goal'.padStart(8)}  ratio to baseline\n`,
  );
  for (const { what, value, unit, goal, detail } of figures) {
    const old = baseline.figures.find((figure) => figure.what === what)?.value;
    const verdict = goal === null ? '' : value <= goal ? `≤ ${goal} ✔` : `≤ ${goal} ✘`;
    process.stdout.write(
      `${what.padEnd(width)}  ${`${value.toFixed(2)} ${unit}`.padStart(12)}  ${verdict.padStart(8)}  ${old ? (value / old).toFixed(2) : '–'}  ${detail}\n`,
    );
  }
}

await main(process.argv.slice(2));
