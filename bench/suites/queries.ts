import { randomUUID } from 'node:crypto';
import type { LabAppliance } from '~/lab/appliance';
import { ApiClient } from '~/lab/client';
import { parseDsn } from '~/server/database/connection/dsn';
import { openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import type { NewMapping } from '~/server/model/operation';
import { aboutRequest } from '~/server/operations/new-request';
import { atMost, type Bench, type Suite } from '../bench';
import { existingVolume, GIB, pause, withLab } from '../lab';
import { times } from '../measure';
import { addMappings, addOperations } from '../rows';

const MAPPINGS = 10_000;
/** The lists that callers and operators ask for; `$` is filled in. */
const LISTS = [
  '?limit=100',
  '?status=failed&type=detach',
  '?volume_id=$volume&limit=20',
  '?vm_id=$vm&status=completed',
  '?since=2025-01-01T00:00:00Z&limit=100',
];

export const queries: Suite = {
  name: 'queries',
  about: 'reads, health, metrics and mapping updates with 0, 100 k and 1 M operations and 10 k mappings',
  run: (bench) =>
    withLab({}, async (lab) => {
      const first = await lab.startDaemon();
      await first.stop();
      bench.progress(`${MAPPINGS} mappings`);
      const volumes = Array.from({ length: MAPPINGS }, (_, n) => existingVolume(lab, `mapped ${n}`));
      const vm = lab.cloud.model.addVm({ name: 'migrated' }).id;
      await addMappings(lab, vm, volumes);
      const p99 = new Map<string, number[]>();
      let rows = 0;
      for (const wanted of bench.quick ? [0, 10_000] : [0, 100_000, 1_000_000]) {
        bench.progress(`${wanted.toLocaleString('en-US')} operations`);
        await addOperations(lab, { from: rows, to: wanted });
        rows = wanted;
        for (const [what, p] of await measure(bench, lab, { vm, volumes, rows: wanted }))
          p99.set(what, [...(p99.get(what) ?? []), p]);
      }
      for (const [what, [none = Number.NaN, ...more]] of p99)
        bench.add(`${what}: 1 M beside none, p50`, (more.at(-1) ?? Number.NaN) / none, '×', atMost(2));
    }),
};

/** Within which the first sync, which reads and compares all volumes, has certainly ended. */
const FIRST_SYNC_MS = 15_000;

interface Rows {
  readonly vm: string;
  readonly volumes: readonly string[];
  /** Operations. */
  readonly rows: number;
}

/** Gives the median of each figure, for the comparison of sizes. */
async function measure(bench: Bench, lab: LabAppliance, { vm, volumes, rows }: Rows) {
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const medians = new Map<string, number>();
  const label = rows >= 1_000_000 ? '1 M' : rows >= 1000 ? `${rows / 1000} k` : String(rows);
  const time = async (
    what: string,
    n: number,
    goal: number | null,
    work: (index: number) => Promise<unknown>,
  ) => {
    await times(20, 1, work);
    const { samples } = await times(n, 1, work);
    const { p50 } = bench.addTimes(
      `${what}, ${label} operations`,
      samples,
      goal === null ? null : atMost(goal),
    );
    if (goal !== null) medians.set(what, p50);
  };
  const n = bench.quick ? 50 : 500;
  const volume = volumes[Math.floor(volumes.length / 2)] ?? '';
  const [some] = await api.get<{ id: string }[]>('/api/v1/operations?limit=1');
  const id = some?.id ?? (await api.post<{ id: string }>(`/api/v1/volumes/${randomUUID()}/detach`)).id;
  const getOperation = () => api.get(`/api/v1/operations/${id}`);
  await time('GET operation, beside the first sync', n, null, getOperation);
  await pause(FIRST_SYNC_MS);
  await time('GET operation', n, 50, getOperation);
  await time('GET mapping of a volume', n, 50, () => api.get(`/api/v1/volumes/${volume}/device`));
  // Nothing is mapped to it: an answer all the same, after the same look into the database.
  await time('GET volume of a device', n, 50, () => answer(`${daemon.url}/api/v1/devices/vdb/volume`));
  await time('GET devices, first page', n, 50, () => api.get('/api/v1/devices'));
  for (const list of LISTS) {
    const query = list.replace('$volume', volume).replace('$vm', lab.cloud.applianceVmId);
    await time(`GET operations${list}`, n / 2, 50, () => api.get(`/api/v1/operations${query}`));
  }
  await time('GET /api/v1/metrics', n / 2, 20, () => api.get('/api/v1/metrics'));
  await time('GET /metrics', n / 2, 20, () => answer(`${daemon.url}/metrics`));
  await time('GET /api/v1/health', n / 2, 20, () => api.get('/api/v1/health'));
  await daemon.stop();
  await timeMappingUpdates(bench, lab, label, { vm, volumes, rows });
  return medians;
}

async function answer(url: string): Promise<string> {
  return (await fetch(url)).text();
}

/** The write alone, as an operation makes it (with its journal entry), and as sync does. */
async function timeMappingUpdates(bench: Bench, lab: LabAppliance, label: string, { vm, volumes }: Rows) {
  const pool = openPool(parseDsn(lab.database.dsn));
  const ledger = new MysqlLedger(pool, Date.now);
  const epoch = await ledger.takeOver(lab.cloud.applianceVmId, 'bench');
  const about = aboutRequest('detach', { volume_id: randomUUID() });
  const request = { id: randomUUID(), at: Date.now(), idempotencyKey: null, ...about };
  const { operation } = await ledger.accept(epoch, request);
  const [claimed] = await ledger.claim(epoch, 1);
  if (claimed?.operation.id !== operation.id) throw new Error('another operation was claimed');
  const effectsOf = (index: number) => {
    const mapping = mappingOf(volumes[index % volumes.length] ?? '', vm);
    return [{ kind: 'put-mapping' as const, mapping }];
  };
  const entry = { step: 'bench', state: 'note' as const, data: {} };
  let after = claimed.journal.length;
  const byOperation = async (index: number) => {
    const change = { after, at: Date.now(), entries: [entry], effects: effectsOf(index) };
    after += (await ledger.append(epoch, operation.id, change)).length;
  };
  const bySync = (index: number) => ledger.auditedChange(epoch, effectsOf(index), entry);
  const n = bench.quick ? 100 : 1000;
  await times(n, 1, byOperation);
  bench.addTimes(`mapping update, ${label} operations`, (await times(n, 1, byOperation)).samples, atMost(3));
  await times(20, 1, bySync);
  bench.addTimes(`mapping update by sync, ${label} operations`, (await times(n, 1, bySync)).samples);
  const end = { status: 'completed' as const, response: {}, error: null, errorCode: null };
  await ledger.append(epoch, operation.id, { after, at: Date.now(), entries: [], end });
  await pool.close();
}

function mappingOf(volumeId: string, vmId: string): NewMapping {
  return {
    volumeId,
    vmId,
    devicePath: `remote-vm-${vmId}-${volumeId}`,
    cloudstackState: 'attached',
    linuxState: 'n/a',
    size: GIB,
    controller: null,
    serial: null,
    diskseq: null,
    bootId: null,
    matchedBy: null,
    cloudstackDeviceId: 1,
  };
}
