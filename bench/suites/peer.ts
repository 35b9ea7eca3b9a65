import { randomUUID } from 'node:crypto';
import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import type { Bench, Suite } from '../bench';
import { existingVolume, GIB, pause, withLab } from '../lab';
import { distribution, load, times } from '../measure';
import { type Measured, type Peer, startPeer } from '../peer-process';
import { addMappings } from '../rows';

const CREATE_MS = 150;
const PACE_MS = 350;
const ACCEPT_PATIENCE_MS = 30_000;

/** What was measured of one daemon: times in ms, or answers per second. */
type Samples = Map<string, number[]>;

/**
 * Our daemon beside another one that speaks the API: each is started, asked the same questions and stopped,
 * in turn, on one database and one CloudStack.
 */
export function besidePeer(peer: Peer): Suite {
  return {
    name: 'peer',
    about: 'our daemon beside another one, by --peer',
    run: (bench) =>
      withLab({ cloud: { latencies: { create: CREATE_MS } } }, async (lab) => {
        // The tables are made by ours: both find the same.
        await (await lab.startDaemon()).stop();
        const volume = existingVolume(lab, 'mapped');
        await addMappings(lab, lab.cloud.model.addVm({ name: 'migrated' }).id, [volume]);
        const [ours, theirs]: [Samples, Samples] = [new Map(), new Map()];
        const rounds = bench.quick ? 1 : 3;
        for (let round = 1; round <= rounds; round += 1) {
          bench.progress(`round ${round} of ${rounds}: ours`);
          await measure(bench, lab, await lab.startDaemon(), volume, ours);
          bench.progress(`round ${round} of ${rounds}: the peer`);
          await measure(bench, lab, await startPeer(lab, peer), volume, theirs);
        }
        report(bench, ours, theirs);
      }),
  };
}

async function measure(
  bench: Bench,
  lab: LabAppliance,
  daemon: Measured,
  volume: string,
  samples: Samples,
): Promise<void> {
  const api = new ApiClient(daemon.url);
  const add = (what: string, values: readonly number[]) =>
    samples.set(what, [...(samples.get(what) ?? []), ...values]);
  const accepted: OperationReply[] = [];
  const create = async () => {
    const body = {
      name: `bench-${randomUUID()}`,
      size: GIB,
      zone_id: lab.cloud.zoneId,
      disk_offering_id: lab.cloud.diskOfferingId,
    };
    accepted.push(await api.post<OperationReply>('/api/v1/volumes', body));
  };
  try {
    await untilAccepting(create);
    await times(20, 1, create);
    await ended(api, accepted);
    add('accept, one every 350 ms', await paced(bench.quick ? 5 : 40, create));
    add('accept, back to back', (await times(bench.quick ? 50 : 300, 1, create)).samples);
    await ended(api, accepted);
    const [some] = accepted;
    const paths = {
      'GET operation': `/api/v1/operations/${some?.id}`,
      'GET device of a volume': `/api/v1/volumes/${volume}/device`,
      'GET /health': '/health',
    };
    for (const [what, path] of Object.entries(paths)) {
      const ask = (amount: number) =>
        load({ url: daemon.url, method: 'GET', path: () => path, connections: 50, amount });
      await ask(500);
      add(what, [await ask(bench.quick ? 500 : 10_000)]);
    }
  } finally {
    await daemon.stop();
  }
}

/** A daemon that has just been started may not take requests yet. */
async function untilAccepting(create: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + ACCEPT_PATIENCE_MS;
  for (;;) {
    try {
      return await create();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await pause(100);
    }
  }
}

async function paced(n: number, work: () => Promise<void>): Promise<number[]> {
  const samples: number[] = [];
  for (let index = 0; index < n; index += 1) {
    samples.push(...(await times(1, 1, work)).samples);
    await pause(PACE_MS);
  }
  return samples;
}

/** Waits for each by asking again, as every caller of the specification's API can. */
async function ended(api: ApiClient, operations: readonly OperationReply[]): Promise<void> {
  for (const { id } of operations) {
    let status = 'pending';
    while (status === 'pending' || status === 'executing') {
      status = (await api.get<OperationReply>(`/api/v1/operations/${id}`)).status;
      if (status === 'pending' || status === 'executing') await pause(20);
    }
    if (status !== 'completed') throw new Error(`operation ${id} is ${status}`);
  }
}

/** Below 1 ours is the faster one, whatever is measured. */
function report(bench: Bench, ours: Samples, theirs: Samples): void {
  for (const [what, mine] of ours) {
    const [a, b] = [distribution(mine), distribution(theirs.get(what) ?? [])];
    if (what.startsWith('accept')) {
      for (const quantile of ['p50', 'p99'] as const) {
        bench.add(`${what}, ${quantile}: ours`, a[quantile], 'ms', null, `n=${a.n}`);
        bench.add(`${what}, ${quantile}: peer`, b[quantile], 'ms', null, `n=${b.n}`);
        bench.add(`${what}, ${quantile}: ours / peer`, a[quantile] / b[quantile], '×');
      }
    } else {
      bench.add(`${what}: ours`, a.p50, '1/s', null, `${a.min.toFixed(0)}–${a.max.toFixed(0)}`);
      bench.add(`${what}: peer`, b.p50, '1/s', null, `${b.min.toFixed(0)}–${b.max.toFixed(0)}`);
      bench.add(`${what}: peer / ours`, b.p50 / a.p50, '×');
    }
  }
}
