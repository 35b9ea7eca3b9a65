import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { judgeLease } from '~/server/model/lease';
import { useMigrated } from './use-migrated';

const HERE = 'appliance';
const database = useMigrated();
let ledger: MysqlLedger;
/** Of the first owner of the row; and the wall clock of this machine, ms. */
let first: number;
let now = Date.now();

beforeAll(async () => {
  // For whoever edits; our own sessions ask for their checks.
  await database.query("SET GLOBAL sql_mode = ''");
  ledger = database.ledger(() => now);
});

/** As somebody does it by hand. */
const edit = (text: string) => database.query(text);

beforeEach(async () => {
  await edit('DELETE FROM appliances');
  first = (await ledger.takeOver(HERE, 'first', { seen: null, instance: 'a' })).number;
});

/** Takes over by the rules, after a lease without a renewal. Returns the new epoch. */
async function takeOver(): Promise<number> {
  const seen = await ledger.readOwner(HERE);
  expect(judgeLease({ owner: seen, unchangedMs: 60_000, hasEnded: false }).free).toBe(true);
  return (await ledger.takeOver(HERE, 'second', { seen, instance: 'b' })).number;
}

it.each([
  ["lease_until = '0000-00-00'", null],
  ["lease_until = '2024-00-00'", null],
  ["lease_until = '9999-12-31 23:59:59.999'", null],
  ["lease_until = '1000-01-01'", null],
  ['lease_until = NULL', null],
  ["since = '0000-00-00'", null],
  ["owner = '', instance = ''", null],
  ['epoch = 0', null],
  ['epoch = -5', null],
  ['epoch = epoch + 1000', 1001],
])(
  'a row of the appliance that somebody has edited (%s) does not keep it from being owned',
  async (change, further) => {
    now += 1_000;
    await edit(`UPDATE appliances SET ${change}`);
    if (/since|owner|epoch/.test(change)) await edit('UPDATE appliances SET lease_until = NOW(3)');
    const epoch = await takeOver();
    expect(epoch).toBe(first + (further ?? 1));
    await ledger.renewLease({ applianceId: HERE, number: epoch });
    expect((await ledger.readOwner(HERE))?.lease?.leftMs).toBeGreaterThan(0);
  },
);

it('a row that somebody has deleted is made again, and the old owner is told', async () => {
  await edit('DELETE FROM appliances');
  const renewing = () => ledger.renewLease({ applianceId: HERE, number: first });
  await expect(renewing()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  // Another one has been quicker than the next renewal: it must not have the same number.
  now += 1_000;
  expect(await takeOver()).not.toBe(first);
  await expect(renewing()).rejects.toMatchObject({ code: 'LEASE_LOST' });
});

it('a row that was brought back from a backup gives nobody the number of the owner who is still there', async () => {
  await edit('UPDATE appliances SET lease_until = NULL');
  now += 5_000;
  const running = await takeOver();
  await edit(`UPDATE appliances SET epoch = ${first}, owner = 'first', lease_until = NULL`);
  now += 1_000;
  const standby = await takeOver();
  expect(standby).not.toBe(running);
  const renewing = ledger.renewLease({ applianceId: HERE, number: running });
  await expect(renewing).rejects.toMatchObject({ code: 'LEASE_LOST' });
});

/** The process as a snapshot of its machine holds it, memory and all. */
const snapshot = (): MysqlLedger => Object.assign(Object.create(MysqlLedger.prototype), ledger);

it('of a machine that was restored with its memory the renewals are refused: it has an epoch that others have gone on under', async () => {
  const epoch = { applianceId: HERE, number: first };
  await ledger.renewLease(epoch);
  const [restored, another] = [snapshot(), snapshot()];
  await ledger.renewLease(epoch);
  await expect(restored.renewLease(epoch)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  await ledger.renewLease(epoch);
  // One after the other, as two that run side by side do.
  await expect(another.renewLease(epoch)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  await expect(another.renewLease(epoch)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  // What was restored begins anew, under an epoch of its own, and that of the copy ends.
  const seen = await restored.readOwner(HERE);
  await restored.renewLease(await restored.takeOver(HERE, 'restored', { seen, instance: 'a' }));
  await expect(ledger.renewLease(epoch)).rejects.toMatchObject({ code: 'LEASE_LOST' });
});

it('a renewal whose answer is lost is not taken for that of another process', async () => {
  const epoch = { applianceId: HERE, number: first };
  await ledger.renewLease(epoch);
  const { urgent } = database.pool;
  const loses = vi.spyOn(database.pool, 'urgent').mockImplementationOnce(async (work) => {
    await urgent(work);
    throw new DaemonError('DATABASE_UNAVAILABLE', 'the answer is lost');
  });
  await expect(ledger.renewLease(epoch)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  loses.mockRestore();
  await ledger.renewLease(epoch);
  expect((await ledger.readOwner(HERE))?.lease?.leftMs).toBeGreaterThan(0);
});

it('the lease is renewed as before when the appliance of another daemon was taken over in between', async () => {
  const epoch = { applianceId: HERE, number: first };
  await ledger.renewLease(epoch);
  await ledger.takeOver('neighbour', 'first', { seen: null, instance: 'a' });
  await ledger.renewLease(epoch);
  expect(await ledger.readOwner(HERE)).toMatchObject({ epoch: first, renewals: 2 });
});

it('a database that was exchanged for one that lacks the last renewal ends the ownership', async () => {
  const epoch = { applianceId: HERE, number: first };
  await ledger.renewLease(epoch);
  await ledger.renewLease(epoch);
  await edit('UPDATE appliances SET renewals = 1');
  await expect(ledger.renewLease(epoch)).rejects.toMatchObject({ code: 'LEASE_LOST' });
});
