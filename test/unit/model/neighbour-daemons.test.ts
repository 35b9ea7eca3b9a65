import { describe, expect, it } from 'vitest';
import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { LIMITS } from '~/server/core/limits';
import { NeighbourDaemons } from '~/server/model/neighbour-daemons';
import { ManualClock } from '../devices/manual-clock';

const THEIRS = 'bbbbbbbb-0000-4000-8000-000000000002';
const { LEASE_MS } = LIMITS;

async function withNeighbour() {
  const clock = new ManualClock();
  const database = { aheadMs: 0 };
  const now = () => clock.now();
  const ledger = new MemoryLedger({ now, databaseNow: () => now() + database.aheadMs });
  const epoch = await ledger.takeOver(THEIRS, 'their daemon');
  return { clock, database, ledger, epoch, neighbours: new NeighbourDaemons(ledger, clock) };
}

describe('whether the daemon of another appliance runs', () => {
  it('nobody ever ran there: null', async () => {
    expect(await (await withNeighbour()).neighbours.look('another')).toBeNull();
  });

  it('it holds its lease: yes, at once', async () => {
    const { neighbours } = await withNeighbour();
    expect(await neighbours.look(THEIRS)).toMatchObject({ owner: 'their daemon', runs: true, toldInMs: 0 });
  });

  it('it has released it: no, at once', async () => {
    const { neighbours, ledger, epoch } = await withNeighbour();
    await ledger.releaseLease(epoch);
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: false, toldInMs: 0 });
  });

  it('the clock of the database was set forward, and it renews: yes', async () => {
    const { neighbours, ledger, epoch, database, clock } = await withNeighbour();
    database.aheadMs = 86_400_000;
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: true, toldInMs: LEASE_MS });
    await ledger.renewLease(epoch);
    await clock.advance(LEASE_MS - 1);
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: true, toldInMs: 0 });
  });

  it('its lease has ended: no, but only once it was seen unchanged for as long as a lease lasts', async () => {
    const { neighbours, clock } = await withNeighbour();
    await clock.advance(LEASE_MS);
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: true, toldInMs: LEASE_MS });
    await clock.advance(LEASE_MS - 1);
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: true, toldInMs: 1 });
    await clock.advance(1);
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: false, toldInMs: 0 });
  });

  it('it renewed between two looks: it is watched anew', async () => {
    const { neighbours, ledger, epoch, database, clock } = await withNeighbour();
    database.aheadMs = LEASE_MS;
    await neighbours.look(THEIRS);
    await clock.advance(LEASE_MS);
    database.aheadMs = 0;
    await ledger.renewLease(epoch);
    database.aheadMs = LEASE_MS;
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: true, toldInMs: LEASE_MS });
  });

  it('an answer that was long under way is not taken for a time in which nobody renewed', async () => {
    const { neighbours, ledger, epoch, database, clock } = await withNeighbour();
    database.aheadMs = 86_400_000;
    await neighbours.look(THEIRS);
    const { readOwner } = ledger;
    ledger.readOwner = async (vmId) => {
      const row = await readOwner.call(ledger, vmId);
      await clock.sleep(LEASE_MS);
      return row;
    };
    const look = neighbours.look(THEIRS);
    await clock.advance(LEASE_MS);
    await ledger.renewLease(epoch);
    expect(await look).toMatchObject({ runs: true, toldInMs: LEASE_MS });
  });

  it('the clock of the database was set back, so that its lease lasts for a day: no, once nobody renews it', async () => {
    const { neighbours, database, clock } = await withNeighbour();
    database.aheadMs = -86_400_000;
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: true });
    await clock.advance(LEASE_MS);
    expect(await neighbours.look(THEIRS)).toMatchObject({ runs: false, toldInMs: 0 });
  });
});
