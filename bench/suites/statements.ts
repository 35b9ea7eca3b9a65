import { randomUUID } from 'node:crypto';
import { createPool } from 'mysql2/promise';
import { z } from 'zod';
import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { parseDsn } from '~/server/database/connection/dsn';
import { connectionOptions } from '~/server/database/connection/pool';
import { atMost, type Bench, type Suite } from '../bench';
import { Caller } from '../caller';
import { GIB, pause, settled, withLab } from '../lab';
import { times } from '../measure';
import { startBareRoute } from './bare';

/** ms that the simulated jobs take. */
const JOB = 150;
const LATENCIES = { create: JOB, attach: JOB, detach: JOB, remove: JOB };
/** ms within which an operation has certainly ended. Nobody asks for it: the questions would count. */
const OPERATION = 1_200;
/** ms between two requests of a caller that asks now and then. */
const PACE = 350;

export const statements: Suite = {
  name: 'statements',
  about: 'what is sent to the database for each operation, and accepting while operations run',
  run: async (bench) => {
    await withLab({ cloud: { latencies: LATENCIES }, env: { NBD_BACKEND: 'auto' } }, (lab) =>
      countStatements(bench, lab),
    );
    await withLab({ cloud: { latencies: LATENCIES } }, (lab) => acceptWhileRunning(bench, lab));
  },
};

/** By the general log of the server. */
async function countStatements(bench: Bench, lab: LabAppliance): Promise<void> {
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const cycles = bench.quick ? 2 : 10;
  const sent = new Map<string, string[][]>();
  const count = async (begin: () => Promise<OperationReply>) => {
    await lab.database.query('TRUNCATE mysql.general_log');
    const { id } = await begin();
    await pause(OPERATION);
    const logged = LOG.parse(await lab.database.query(LOGGED)).map(({ argument }) => argument);
    const ended = await api.end(await api.get<OperationReply>(`/api/v1/operations/${id}`));
    sent.set(ended.type, [...(sent.get(ended.type) ?? []), logged.filter((text) => !AT_REST.test(text))]);
    return ended;
  };
  bench.progress('create, attach, detach, delete');
  await lab.database.query("SET GLOBAL log_output = 'TABLE'");
  await lab.database.query('SET GLOBAL general_log = 1');
  for (let run = 0; run < cycles; run += 1) {
    const { volume_id } = await count(() => api.post('/api/v1/volumes', volumeOf(lab)));
    const path = `/api/v1/volumes/${volume_id}`;
    await count(() => api.post(`${path}/attach`, { vm_id: lab.cloud.applianceVmId }));
    await count(() => api.post(`${path}/detach`));
    await count(() => api.delete(path));
  }
  for (const [type, runs] of sent) {
    // The smallest: what else happens now and then (a sync, a scrape) is none of the operation.
    const [least = []] = runs.sort((a, b) => a.length - b.length);
    const goal = type === 'attach' ? atMost(20) : null;
    bench.add(`sent for one ${type}`, least.length, '', goal, kinds(least));
  }
  await daemon.stop();
}

function volumeOf({ cloud }: LabAppliance) {
  const { zoneId: zone_id, diskOfferingId: disk_offering_id } = cloud;
  return { name: `bench ${randomUUID()}`, size: GIB, zone_id, disk_offering_id };
}

/** A packet of several statements is logged as one text. */
const LOGGED = `SELECT CONVERT(argument USING utf8mb4) AS argument FROM mysql.general_log
  WHERE command_type = 'Query' AND user_host LIKE 'oma\\_user%' ORDER BY event_time`;
const LOG = z.array(z.object({ argument: z.string() }));

/** Sent whether operations run or not: sessions, leases, probes with their transactions, metrics. */
const AT_REST =
  /^\s*(SET |SHOW |SELECT 1$|SELECT \* FROM ossea_configs|SELECT CURRENT_TIMESTAMP|UPDATE appliances|UPDATE \w+ SET (owner|updated_at) = \w+ WHERE|SELECT owner, epoch|INSERT INTO volume_operation_steps .*FROM appliances WHERE id = ''$|SELECT type, status, SUM|select count\(\*\) as `n` from `device_mappings`)/s;

function kinds(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts) {
    const [kind = ''] = text.trim().toUpperCase().split(/[ (;]/);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, n]) => `${kind} ${n}`).join(', ');
}

/** One client, back to back or now and then; what it asks for runs meanwhile. */
async function acceptWhileRunning(bench: Bench, lab: LabAppliance): Promise<void> {
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const caller = new Caller();
  const requests = (url: string, n: number) =>
    Array.from({ length: n }, () => ({ url, body: volumeOf(lab) }));
  const creates = (n: number, pauseMs = 0) =>
    caller.post(requests(`${daemon.url}/api/v1/volumes`, n), pauseMs);
  bench.progress('one client back to back, its creates running meanwhile');
  const n = bench.quick ? 50 : 400;
  // A daemon lives for months: its code is compiled when the callers come.
  for (let run = 0; run < 3; run += 1) {
    await creates(n);
    await settled(api);
  }
  const begun = performance.now();
  bench.addTimes('accept, 1 client, its creates running', await creates(n), atMost(10), atMost(2));
  await settled(api);
  bench.add('until all have ended', performance.now() - begun, 'ms', null, `${n} creates, jobs of ${JOB} ms`);

  bench.progress(`one every ${PACE} ms`);
  const bare = await startBareRoute();
  const pool = createPool({ ...connectionOptions(parseDsn(lab.database.dsn)), connectionLimit: 1 });
  await pool.query('CREATE TABLE bench_bare (id CHAR(36) PRIMARY KEY, data VARCHAR(500)) ENGINE=InnoDB');
  const insert = () => pool.query('INSERT INTO bench_bare VALUES (?, ?)', [randomUUID(), 'x'.repeat(300)]);
  const single: Record<'ours' | 'route' | 'insert', number[]> = { ours: [], route: [], insert: [] };
  for (let run = 0; run < (bench.quick ? 5 : 40); run += 1) {
    single.ours.push(...(await creates(1, PACE)));
    single.route.push(...(await caller.post(requests(bare.url, 1), PACE)));
    await pause(PACE);
    single.insert.push(...(await times(1, 1, insert)).samples);
  }
  bench.addTimes(`accept, one every ${PACE} ms`, single.ours, null, atMost(2));
  bench.addTimes(`bare h3 route, one every ${PACE} ms`, single.route);
  bench.addTimes(`bare INSERT + COMMIT, one every ${PACE} ms`, single.insert);
  await pool.end();
  await bare.stop();
  await caller.stop();
  await daemon.stop();
}
