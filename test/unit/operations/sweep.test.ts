import { expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { Rig, SECOND_MS } from './rig';

/** What a look for executing operations has seen is answered only when it is let through. */
function holdLooks(rig: Rig): { begun(): boolean; through(): void } {
  let through = () => {};
  const answer = new Promise<void>((resolve) => {
    through = resolve;
  });
  let looks = 0;
  const { resumable } = rig.ledger;
  rig.ledger.resumable = async (epoch) => {
    const seen = await resumable.call(rig.ledger, epoch);
    looks += 1;
    await answer;
    return seen;
  };
  return { begun: () => looks > 0, through };
}

async function attach(rig: Rig): Promise<string> {
  const { id } = await rig.volume();
  return rig.request('attach', { volume_id: id, vm_id: rig.here });
}

it('an operation that ends while the sweep looks for orphans is none: it is not run again', async () => {
  const rig = await Rig.start();
  const { engine } = rig.domain.ownership;
  const id = await attach(rig);
  await rig.untilSent('attachVolume');
  const looks = holdLooks(rig);
  void engine?.sweep();
  await rig.pass(10);
  expect(looks.begun()).toBe(true);
  expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  const journal = await rig.journal(id);

  let runs = 0;
  const { readJournal } = rig.ledger;
  rig.ledger.readJournal = (of) => {
    runs += 1;
    return readJournal.call(rig.ledger, of);
  };
  looks.through();
  await rig.pass(10 * SECOND_MS);
  expect(runs).toBe(0);
  expect(rig.domain.ownership.engine).toBe(engine);
  expect(await rig.journal(id)).toEqual(journal);
  expect(rig.calls).toEqual(['attachVolume']);
});

it('an operation whose run breaks off while the sweep looks for orphans is resumed by the next look', async () => {
  const rig = await Rig.start();
  const { claim, hold } = rig.ledger;
  // Read as it was claimed its journal is not understood, and that cannot be noted.
  rig.ledger.claim = async (epoch, limit) =>
    (await claim.call(rig.ledger, epoch, limit)).map(({ operation, journal }) => ({
      operation,
      journal: journal.map((entry) => ({ ...entry, unreadable: 'spoilt' })),
    }));
  let away = () => {};
  const fault = new Promise<never>((_resolve, reject) => {
    away = () => reject(new DaemonError('DATABASE_UNAVAILABLE', 'away'));
  });
  rig.ledger.hold = async (epoch, of, reason) => {
    await fault;
    return hold.call(rig.ledger, epoch, of, reason);
  };
  let crashes = 0;
  rig.ledger.noteCrash = async () => {
    crashes += 1;
  };
  const id = await attach(rig);
  await rig.pass(10);
  const looks = holdLooks(rig);
  void rig.domain.ownership.engine?.sweep();
  await rig.pass(10);
  expect(looks.begun()).toBe(true);
  away();
  await rig.pass(5 * SECOND_MS);
  looks.through();
  expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  expect(rig.calls).toEqual(['attachVolume']);
  expect(crashes, 'a database that is away is no crash').toBe(0);
});

it('a cancel that is noted while the answer to a claim is under way is honoured', async () => {
  const rig = await Rig.start();
  const { claim } = rig.ledger;
  let through = () => {};
  const answer = new Promise<void>((resolve) => {
    through = resolve;
  });
  rig.ledger.claim = async (epoch, limit) => {
    const claimed = await claim.call(rig.ledger, epoch, limit);
    await answer;
    return claimed;
  };
  const id = await attach(rig);
  await rig.pass(10);
  await rig.during(rig.domain.operations.cancel(id));
  through();
  expect(await rig.ended(id)).toMatchObject({ status: 'cancelled' });
  expect(rig.calls).toEqual([]);
});

it('an operation whose journal cannot be read when it is resumed asks for it less and less often', async () => {
  const rig = await Rig.start();
  const id = await attach(rig);
  await rig.untilSent('attachVolume');
  const { readJournal } = rig.ledger;
  let asked = 0;
  rig.ledger.readJournal = async () => {
    asked += 1;
    throw new DaemonError('DATABASE_UNAVAILABLE', 'away');
  };
  await rig.restart();
  await rig.pass(60 * SECOND_MS);
  expect(asked).toBeGreaterThan(10);
  expect(asked).toBeLessThan(25);
  rig.ledger.readJournal = readJournal;
  expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
});
