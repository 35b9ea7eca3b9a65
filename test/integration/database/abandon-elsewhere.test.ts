import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { systemClock } from '~/server/core/clock';
import type { MysqlLedger } from '~/server/database/mysql-ledger';
import { NeighbourDaemons } from '~/server/model/neighbour-daemons';
import type { Operation } from '~/server/model/operation';
import { abandonElsewhere } from '~/server/operations/abandon-elsewhere';
import { A, APPLIANCE, ASKER, attach, B, detach, OTHER_VM } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

const database = useMigrated();
/** As two appliances have them. */
let theirs: MysqlLedger;
let ours: MysqlLedger;
/**
 * A detach that they were executing, another one, and an attach behind the first, when their VM went away.
 */
let left: { readonly first: string; readonly second: string; readonly behind: string };

beforeAll(() => {
  theirs = database.ledger(Date.now);
  ours = database.ledger(Date.now);
});

beforeEach(async () => {
  for (const table of ['volume_operations', 'volume_operation_totals', 'appliances'])
    await database.query(`DELETE FROM ${table}`);
  const epoch = await theirs.takeOver(OTHER_VM, 'their daemon');
  const ids = [];
  for (const input of [detach(A), detach(B), attach(A, APPLIANCE)])
    ids.push((await theirs.accept(epoch, { ...input, at: Date.now() })).operation.id);
  await theirs.claim(epoch, 10);
  await theirs.releaseLease(epoch);
  const [first = '', second = '', behind = ''] = ids;
  left = { first, second, behind };
});

async function read(id: string): Promise<Operation> {
  const operation = await ours.readOperation(id);
  if (operation === null) throw new Error(`there is no operation ${id}`);
  return operation;
}

async function abandon(id: string): Promise<string> {
  const neighbours = new NeighbourDaemons(ours, systemClock);
  const parts = { ledger: ours, clock: systemClock, stopping: new AbortController().signal, neighbours };
  return abandonElsewhere(parts, await read(id), ASKER);
}

it('ends what they were executing and what waited, and leaves nobody their lease', async () => {
  for (const id of [left.first, left.behind]) {
    expect(await abandon(id)).toBe('released');
    expect(await read(id)).toMatchObject({ status: 'failed', errorCode: 'OPERATION_ABANDONED', held: null });
    expect(await abandon(id)).toBe('not-held');
  }
  expect((await ours.readOwner(OTHER_VM))?.lease).toBeNull();
  expect(await ours.isWorkedOn(A, await ours.newestEntry())).toBe(false);
  expect((await ours.counts(OTHER_VM)).byStatus).toMatchObject({ failed: 2, pending: 0, executing: 1 });
});

it('ends also one whose row is not understood here, as a newer daemon may have left it', async () => {
  await database.query(`UPDATE volume_operations SET request = '[]' WHERE id = ?`, [left.first]);
  expect((await read(left.first)).held).not.toBeNull();
  expect(await abandon(left.first)).toBe('released');
  expect(await read(left.first)).toMatchObject({ status: 'failed', errorCode: 'OPERATION_ABANDONED' });
});

it('of an appliance without a row, and of the previous daemon, whose operations belong to none', async () => {
  await database.query('DELETE FROM appliances WHERE id = ?', [OTHER_VM]);
  expect(await abandon(left.second)).toBe('released');
  const old = randomUUID();
  await database.query(
    `INSERT INTO volume_operations (id, type, status, volume_id, request) VALUES (?, 'detach', 'executing', ?, '{}')`,
    [old, B],
  );
  await expect(abandon(old)).rejects.toMatchObject({ code: 'OPERATION_NOT_HELD' });
  expect((await read(old)).status).toBe('executing');
  expect(await ours.readOwner('')).toBeNull();
});

it('two persons at once: each operation ends once, whoever was refused may try again', async () => {
  const ids = [left.first, left.first, left.second];
  const ends = await Promise.allSettled(ids.map(abandon));
  // That the lease is lost would be said of the daemon that was asked, which has its own still.
  const refused = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
  expect(refused).not.toEqual([]);
  for (const error of refused) expect(error).toMatchObject({ code: 'OPERATION_NOT_HELD' });
  for (const id of new Set(ids)) {
    if ((await read(id)).status === 'executing') expect(await abandon(id)).toBe('released');
    expect((await ours.readJournal(id)).filter(({ state }) => state === 'failed')).toHaveLength(1);
  }
  expect((await ours.counts(OTHER_VM)).byStatus).toMatchObject({ failed: 2, executing: 0 });
  expect((await ours.readOwner(OTHER_VM))?.lease).toBeNull();
});

it('where their daemon comes back between the look and the take-over, it is named', async () => {
  const takeOver = ours.takeOver.bind(ours);
  const comesBack = vi.spyOn(ours, 'takeOver').mockImplementationOnce(async (...asked) => {
    await theirs.takeOver(OTHER_VM, 'their daemon again');
    return takeOver(...asked);
  });
  try {
    await expect(abandon(left.first)).rejects.toMatchObject({
      code: 'OPERATION_NOT_HELD',
      message: expect.stringContaining('whose daemon (their daemon again) runs'),
    });
  } finally {
    comesBack.mockRestore();
  }
  expect((await read(left.first)).status).toBe('executing');
});

it('where their daemon came back and has stopped again by then, nobody is sent to it', async () => {
  const takeOver = ours.takeOver.bind(ours);
  const comesAndGoes = vi.spyOn(ours, 'takeOver').mockImplementationOnce(async (...asked) => {
    await theirs.releaseLease(await theirs.takeOver(OTHER_VM, 'their daemon again'));
    return takeOver(...asked);
  });
  try {
    await expect(abandon(left.first)).rejects.toMatchObject({
      code: 'OPERATION_NOT_HELD',
      message: expect.stringMatching(/whose owner has just changed: try again$/),
    });
  } finally {
    comesAndGoes.mockRestore();
  }
  expect(await abandon(left.first)).toBe('released');
});

it('whether their daemon runs is not asked on the connection of the lease, whose node may lag behind the others', async () => {
  const seen = await ours.readOwner(OTHER_VM);
  await theirs.takeOver(OTHER_VM, 'their daemon again');
  // A node of a cluster that has not applied it yet: only reads of the other connections wait for that.
  const lags = vi.spyOn(ours, 'readOwner').mockResolvedValue(seen);
  const urgent = vi
    .spyOn(database.pool, 'urgent')
    .mockRejectedValue(new Error('the connection of the lease was used'));
  try {
    const look = await new NeighbourDaemons(ours, systemClock).look(OTHER_VM);
    expect(look).toMatchObject({ owner: 'their daemon again', runs: true });
  } finally {
    lags.mockRestore();
    urgent.mockRestore();
  }
});
