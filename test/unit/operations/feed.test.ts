import { describe, expect, it } from 'vitest';
import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { DaemonError } from '~/server/core/errors';
import type { JournalEntry } from '~/server/model/operation';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

const away = () => Promise.reject(new DaemonError('DATABASE_UNAVAILABLE', 'The database is away: a test'));
const USED = ['append', 'claim', 'feed', 'readOwner', 'renewLease', 'resumable', 'takeOver'] as const;

/** From now on nothing is answered; call what is returned to bring it back. */
function takeDatabaseAway({ ledger }: Rig): () => void {
  for (const name of USED) ledger[name] = away;
  return () => {
    for (const name of USED) Reflect.deleteProperty(ledger, name);
  };
}

/** What everybody who listens hears. */
function listen(rig: Rig): JournalEntry[] {
  const heard: JournalEntry[] = [];
  rig.domain.operations.subscribe((entry) => heard.push(entry));
  return heard;
}

function requestCreate(rig: Rig): Promise<string> {
  const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
  const request = { name: 'new', size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id };
  return rig.request('create', request);
}

const idsOf = (entries: readonly JournalEntry[]) => entries.map(({ id }) => id).sort((a, b) => a - b);
const written = (rig: Rig) => rig.ledger.feed(rig.here, 0, 100);

describe('whoever listens to the events hears of every entry, and of each once', () => {
  it('also of an end whose COMMIT was not answered before the lease was lost', async () => {
    const rig = await Rig.start();
    const heard = listen(rig);
    let bringBack = () => {};
    rig.ledger.append = async (...change) => {
      const entries = await MemoryLedger.prototype.append.apply(rig.ledger, change);
      if (!change[2].end) return entries;
      bringBack = takeDatabaseAway(rig);
      return away();
    };
    const id = await requestCreate(rig);
    expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
    await rig.pass(6 * SECOND_MS);
    expect(rig.domain.ownership.engine).toBeNull();
    bringBack();
    await rig.pass(6 * SECOND_MS);
    await rig.domain.tellMissed();
    expect(heard.map(({ step, state }) => `${step} ${state}`)).toContain('operation completed');
    expect(idsOf(heard)).toEqual(idsOf(await written(rig)));
  });

  it('also of an acceptance and a cancel that their callers were not told of', async () => {
    const rig = await Rig.start();
    const heard = listen(rig);
    await rig.ended(await requestCreate(rig));
    const { id: volume_id } = await rig.volume();
    rig.ledger.accept = async (...request) => {
      await MemoryLedger.prototype.accept.apply(rig.ledger, request);
      return away();
    };
    await expect(rig.request('delete', { volume_id })).rejects.toThrow('The database is away');
    await rig.pass(SECOND_MS);
    await rig.domain.tellMissed();
    expect(idsOf(heard)).toEqual(idsOf(await written(rig)));
  });

  it('also of a cancel whose entry could not be read again: who asked is told that it is done, and so is who waits', async () => {
    const rig = await Rig.start();
    const heard = listen(rig);
    const { operations } = rig.domain;
    const { id: volume_id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'vm-busy', times: 3 });
    await rig.request('attach', { volume_id, vm_id: rig.here });
    const waiting = await rig.request('detach', { volume_id });
    const waits = operations.waitForEnd(waiting, MINUTE_MS);
    rig.ledger.readJournal = away;
    expect(await rig.during(operations.cancel(waiting))).toMatchObject({ status: 'cancelled' });
    const at = rig.clock.monotonic();
    expect(await rig.during(waits)).toMatchObject({ status: 'cancelled' });
    expect(rig.clock.monotonic() - at).toBeLessThan(SECOND_MS);
    Reflect.deleteProperty(rig.ledger, 'readJournal');
    await rig.domain.tellMissed();
    expect(idsOf(heard)).toEqual(idsOf(await written(rig)));
  });

  it('also of one that could not be read again at all: what was done is told as done, and who waits hears of it', async () => {
    const rig = await Rig.start();
    const { operations } = rig.domain;
    const { id: volume_id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'vm-busy', times: 3 });
    await rig.request('attach', { volume_id, vm_id: rig.here });
    const waiting = await rig.request('detach', { volume_id });
    const waits = operations.waitForEnd(waiting, MINUTE_MS);
    const done = async (name: 'requestCancel' | 'abandonHeld' | 'retryHeld', act: () => Promise<unknown>) => {
      const { ledger } = rig;
      const commit = MemoryLedger.prototype[name] as (...asked: unknown[]) => Promise<unknown>;
      Object.assign(ledger, {
        [name]: async (...asked: unknown[]) => {
          const outcome = await commit.apply(ledger, asked);
          ledger.readOperation = away;
          ledger.readJournal = away;
          return outcome;
        },
      });
      const told = await rig.during(act());
      for (const one of [name, 'readOperation', 'readJournal']) Reflect.deleteProperty(ledger, one);
      return told;
    };
    const cancelled = await done('requestCancel', () => operations.cancel(waiting));
    expect(cancelled).toEqual(await operations.read(waiting));
    expect(await rig.during(waits)).toMatchObject({ status: 'cancelled' });

    const held = await requestCreate(rig);
    const { epoch } = rig.domain.writer();
    await rig.ledger.claim(epoch, 1);
    await rig.ledger.hold(epoch, held, 'a test');
    expect(await done('retryHeld', () => operations.retry(held))).toMatchObject({ held: null });
    await rig.ledger.hold(epoch, held, 'a test');
    expect(await done('abandonHeld', () => operations.abandon(held))).toMatchObject({
      status: 'failed',
      errorCode: 'OPERATION_ABANDONED',
      error: expect.stringContaining('the database is away'),
    });
  });

  it.each([
    ['ok', {}],
    ['failed', { kind: 'job-fails', code: 530, text: 'an agent is away' }],
  ] as const)('also of the end of a job that has outlived its operation: %s', async (outcome, fault) => {
    const rig = await Rig.start({ model: { latencies: { detach: 70 * MINUTE_MS } } });
    if ('kind' in fault) rig.model.faults.add({ command: 'detachVolume', ...fault });
    const heard = listen(rig);
    const { id: volume_id } = await rig.volume({ vmId: rig.here, mapped: true });
    const outlived = await rig.run('detach', { volume_id }, 65 * MINUTE_MS);
    expect(outlived).toMatchObject({ status: 'failed' });
    await rig.run('detach', { volume_id }, 90 * MINUTE_MS);
    const settled = (await rig.journal(outlived.id)).at(-1);
    expect(settled).toMatchObject({ state: 'finished', data: { straggler: true, outcome } });
    expect(heard).toContainEqual(settled);
  });
});
