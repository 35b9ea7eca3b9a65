import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { Rig } from './rig';

const DATABASE = 'migratekit_oma';

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.begin();
});
afterAll(() => rig?.close());

const sql = (text: string) => rig.lab.database.query(text, [], DATABASE);

/** The number of the last renewal of the lease. */
async function renewals(): Promise<number> {
  const rows = await sql('SELECT renewals FROM appliances');
  return z.tuple([z.object({ renewals: z.number() })]).parse(rows)[0].renewals;
}

const made = () => rig.model.volumes.filter(({ name }) => name === 'once').length;

async function until(isIt: () => Promise<boolean>): Promise<void> {
  await expect.poll(isIt, { timeout: 20_000, interval: 50 }).toBe(true);
}

it('a create that has ended is not done again by a database from before it', async () => {
  const { zoneId, diskOfferingId } = rig.lab.cloud;
  const body = { name: 'once', size: 1024 ** 3, zone_id: zoneId, disk_offering_id: diskOfferingId };
  const before = await renewals();
  const { id } = await rig.follow({ method: 'POST', path: '/api/v1/volumes', body });
  expect(made()).toBe(1);
  // The backup may be of the same moment in which it was accepted: a second later the row has come further.
  // The daemon has had the answer to the first renewal when the second is sent.
  await until(async () => (await renewals()) > before + 1);
  await rig.daemon.stop();

  await sql('DELETE FROM volume_operation_steps WHERE sequence > 1');
  await sql("UPDATE volume_operations SET status = 'pending', volume_id = '', completed_at = NULL");
  await sql(`UPDATE appliances SET renewals = ${before}`);
  await rig.restart('listening');
  await until(async () => {
    const answer = await fetch(`${rig.daemon.url}/api/v1/volumes`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    return answer.status === 503 && (await answer.text()).includes('the database is older than what this');
  });
  const shown = await fetch(`${rig.daemon.url}/api/v1/operations/${id}`);
  expect(await shown.json()).toMatchObject({ status: 'pending' });
  expect(made()).toBe(1);

  // As the runbook says.
  await rig.daemon.stop();
  await sql(
    "UPDATE volume_operations SET held_at = NOW(3), held_reason = 'restored' WHERE completed_at IS NULL",
  );
  await rm(join(rig.lab.dir, 'state/last-written.json'));
  await rig.restart();
  expect(made()).toBe(1);
});
