import { afterEach, describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { Walk } from './walk';

/** CloudStack's limit of data disks for this VM is 32, and six are there already. */
const TAKEN = 6;
const ASKED = 40;
const FREE = 26;
let walk: Walk;
afterEach(() => walk?.close());

async function begin(env: Readonly<Record<string, string>>): Promise<OperationReply[]> {
  walk = await Walk.begin({ cloud: { latencies: { create: 5, attach: 20, detach: 20, remove: 5 } }, env });
  const create = (count: number, name: string) =>
    Promise.all(Array.from({ length: count }, (_, index) => walk.create(`${name}-${index}`)));
  for (const id of await create(TAKEN, 'taken')) await walk.attach(id);
  const ids = await create(ASKED, 'asked');
  const vm_id = walk.lab.cloud.model.applianceVmId;
  return Promise.all(
    ids.map((id) => walk.api.post<OperationReply>(`/api/v1/volumes/${id}/attach`, { vm_id })),
  );
}

/** The end of each, at the latest after `wait`. */
const look = (operations: readonly OperationReply[], wait: string) =>
  Promise.all(
    operations.map(({ id }) =>
      walk.api.get<OperationReply & { error_code?: string }>(`/api/v1/operations/${id}?wait=${wait}`),
    ),
  );
const tally = (operations: readonly (OperationReply & { error_code?: string })[]) => {
  const counts: Record<string, number> = {};
  for (const { status, error_code: code } of operations) {
    const name = status === 'failed' ? `${status} ${code ?? ''}` : status;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
};

describe(`the built daemon: ${ASKED} attaches to a VM with ${FREE} free`, () => {
  it('the ones that fit complete, the others end with NO_FREE_SLOT and send nothing', async () => {
    const ended = await look(await begin({}), '60s');
    expect(tally(ended)).toEqual({ completed: FREE, 'failed NO_FREE_SLOT': ASKED - FREE });
    const refused = ended.filter(({ status }) => status === 'failed');
    const sent = refused.filter(({ volume_id: id }) => walk.lab.cloud.model.effectsOf(id, 'attach') > 0);
    expect(sent).toEqual([]);
    console.log(`slots: ${ASKED} attaches, ${FREE} free: ${JSON.stringify(tally(ended))}`);
  }, 240_000);

  it('SLOTS=wait: the others follow as slots become free', async () => {
    const operations = await begin({ SLOTS: 'wait' });
    const done = async () => (await look(operations, '0s')).filter(({ status }) => status === 'completed');
    const first = new Set<string>();
    while (first.size < FREE) for (const { volume_id: id } of await done()) first.add(id);
    expect(first.size).toBe(FREE);
    const leaving = [...first].slice(0, ASKED - FREE);
    await Promise.all(leaving.map((id) => walk.detach(id)));
    const ended = await look(operations, '60s');
    expect(tally(ended)).toEqual({ completed: ASKED });
    console.log(`slots, SLOTS=wait: ${FREE} at once, ${ASKED - FREE} after ${leaving.length} detaches`);
  }, 240_000);
});
