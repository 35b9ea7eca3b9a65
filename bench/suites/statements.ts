import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Bench, type Suite } from '../bench';
import { GIB, pause, settled, withLab } from '../lab';
import { times } from '../measure';

/** ms that the simulated jobs take. */
const JOB = 150;
const LATENCIES = { create: JOB, attach: JOB, detach: JOB, remove: JOB };

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

/** By the general log of the server, without what is sent at rest: leases, probes, sessions. */
async function countStatements(bench: Bench, lab: LabAppliance): Promise<void> {
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const cycles = bench.quick ? 2 : 10;
  const sent = new Map<string, string[]>();
  const count = async (begin: () => Promise<OperationReply>) => {
    await lab.database.query('TRUNCATE mysql.general_log');
    const { id } = await begin();
    const ended = await ended1(api, id);
    const told = LOG.parse(await lab.database.query(LOGGED)).map(({ argument }) => shape(argument));
    sent.set(ended.type, [...(sent.get(ended.type) ?? []), ...told.filter((text) => !AT_REST.test(text))]);
    return ended;
  };
  bench.progress('create, attach, detach, delete');
  await lab.database.query("SET GLOBAL log_output = 'TABLE'");
  await lab.database.query('SET GLOBAL general_log = 1');
  for (let run = 0; run < cycles; run += 1) {
    const { volume_id } = await count(() =>
      api.post('/api/v1/volumes', {
        name: `bench ${run}`,
        size: GIB,
        zone_id: lab.cloud.zoneId,
        disk_offering_id: lab.cloud.diskOfferingId,
      }),
    );
    const path = `/api/v1/volumes/${volume_id}`;
    await count(() => api.post(`${path}/attach`, { vm_id: lab.cloud.applianceVmId }));
    await count(() => api.post(`${path}/detach`));
    await count(() => api.delete(path));
  }
  let all = 0;
  for (const [type, texts] of sent) {
    all += texts.length;
    bench.add(
      `statements, ${type}`,
      texts.length / cycles,
      '',
      type === 'attach' ? atMost(20) : null,
      kinds(texts),
    );
    if (process.env.BENCH_STATEMENTS)
      for (const text of texts.slice(-Math.ceil(texts.length / cycles)))
        bench.progress(`  ${type}: ${text.slice(0, 150)}`);
  }
  bench.add('statements, create + attach + detach + delete', all / cycles, '');
  await daemon.stop();
}

/** Its caller does not ask: its questions would count. */
async function ended1(api: ApiClient, id: string): Promise<OperationReply> {
  await pause(1200);
  return api.get<OperationReply>(`/api/v1/operations/${id}`);
}

const LOGGED =
  "SELECT CONVERT(argument USING utf8mb4) AS argument FROM mysql.general_log WHERE command_type = 'Query' AND user_host LIKE 'oma\\_user%' ORDER BY event_time";
const LOG = z.array(z.object({ argument: z.string() }));

function shape(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** Sent whether operations run or not. */
const AT_REST = /^(SET |SELECT 1$|(select|SELECT|UPDATE|update) .{0,40}appliances.* lease_until)/;

function kinds(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts) {
    const [kind = ''] = text.toUpperCase().split(/[ (;]/);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, n]) => `${kind} ${n}`).join(', ');
}

/** One client, back to back or now and then; what it asks for runs meanwhile. */
async function acceptWhileRunning(bench: Bench, lab: LabAppliance): Promise<void> {
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const create = () =>
    api.post<OperationReply>('/api/v1/volumes', {
      name: `bench ${randomUUID()}`,
      size: GIB,
      zone_id: lab.cloud.zoneId,
      disk_offering_id: lab.cloud.diskOfferingId,
    });
  bench.progress('one client back to back, its creates running meanwhile');
  await times(100, 1, create);
  await settled(api);
  const n = bench.quick ? 50 : 400;
  const begun = performance.now();
  bench.addTimes(
    'accept, 1 client, the creates running',
    (await times(n, 1, create)).samples,
    atMost(10),
    atMost(2),
  );
  await settled(api);
  bench.add('until all have ended', performance.now() - begun, 'ms', null, `${n} creates, jobs of ${JOB} ms`);

  bench.progress('one every 350 ms');
  const samples: number[] = [];
  for (let run = 0; run < (bench.quick ? 5 : 40); run += 1) {
    await pause(350);
    samples.push(...(await times(1, 1, create)).samples);
  }
  bench.addTimes('accept, one every 350 ms', samples, null, atMost(2));

  await daemon.stop();
}
