import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { type LogFields, type Logger, silentLogger } from '~/server/core/log/logger';
import type { Crash } from '~/server/model/ledger';
import type { Operation } from '~/server/model/operation';
import { Rig, SECOND_MS } from './rig';

/** Keeps the errors that are logged. */
function errorLog(): { readonly logger: Logger; readonly lines: [string, LogFields][] } {
  const lines: [string, LogFields][] = [];
  const logger: Logger = {
    ...silentLogger,
    error: (message, fields = {}) => void lines.push([message, fields]),
  };
  return { logger, lines };
}

async function attach(rig: Rig): Promise<string> {
  const { id } = await rig.volume();
  return rig.request('attach', { volume_id: id, vm_id: rig.here });
}

/** What is noted of crashes, of which operation. */
function crashes(rig: Rig): (Crash & { readonly id: string })[] {
  const noted: (Crash & { readonly id: string })[] = [];
  const { noteCrash } = rig.ledger;
  rig.ledger.noteCrash = (epoch, id, crash) => {
    noted.push({ id, ...crash });
    return noteCrash.call(rig.ledger, epoch, id, crash);
  };
  return noted;
}

describe('a run that breaks off', () => {
  const MISTAKE = new TypeError('a mistake of this program');

  it('by a mistake of this program: noted at the operation with its progress, and the process is told to end', async () => {
    const rig = await Rig.start();
    const noted = crashes(rig);
    rig.cloud.queryJob = () => Promise.reject(MISTAKE);
    await expect(attach(rig).then((id) => rig.ended(id))).rejects.toBe(MISTAKE);
    const [operation] = await rig.ledger.listOperations({ limit: 1 });
    expect(noted).toEqual([{ id: operation?.id, progress: expect.any(Number), error: MISTAKE.message }]);
    expect(noted[0]?.progress).toBeGreaterThan(0);
  });

  it('by a mistake that cannot be noted: the process is told to end all the same, and soon', async () => {
    const rig = await Rig.start();
    rig.ledger.noteCrash = () => new Promise(() => {});
    rig.cloud.queryJob = () => Promise.reject(MISTAKE);
    await attach(rig);
    await rig.untilSent('attachVolume');
    await expect(rig.pass(LIMITS.CRASH_NOTE_MS + 5 * SECOND_MS)).rejects.toBe(MISTAKE);
  });

  it.each(['DATABASE_UNAVAILABLE', 'LEASE_LOST'] as const)(
    'by %s: that is no crash, and no reason to end',
    async (code) => {
      const rig = await Rig.start();
      const noted = crashes(rig);
      const { append } = rig.ledger;
      let failures = 0;
      rig.ledger.append = (...args) => {
        if (rig.calls.length === 0 || failures > 0) return append.apply(rig.ledger, args);
        failures += 1;
        return Promise.reject(new DaemonError(code, 'away'));
      };
      const id = await attach(rig);
      expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
      expect([failures, noted, rig.calls]).toEqual([1, [], ['attachVolume']]);
    },
  );

  it('twice at the same step: the third time it is held, by whoever looks, and the volume stays blocked', async () => {
    const rig = await Rig.start();
    const noted = crashes(rig);
    const { queryJob } = rig.cloud;
    rig.cloud.queryJob = () => Promise.reject(MISTAKE);
    await expect(attach(rig).then((one) => rig.ended(one))).rejects.toBe(MISTAKE);
    rig.fatal = null;
    await expect(rig.restart().then(() => rig.pass(5 * SECOND_MS))).rejects.toBe(MISTAKE);
    rig.fatal = null;
    rig.cloud.queryJob = queryJob;
    await rig.restart();
    await rig.pass(10 * SECOND_MS);
    const id = noted[0]?.id ?? '';
    expect(noted.map((one) => one.id)).toEqual([id, id]);
    const { engine } = rig.domain.ownership;
    expect(engine?.heldOperations()).toMatchObject([{ id, held: expect.stringContaining(MISTAKE.message) }]);
    expect((await rig.operation(id)).status).toBe('executing');
  });
});

it('a mistake while operations are claimed ends the process as well', async () => {
  const rig = await Rig.start();
  const mistake = new TypeError('another one');
  rig.ledger.claim = () => Promise.reject(mistake);
  await expect(attach(rig)).rejects.toBe(mistake);
});

describe('an operation whose type this program does not know', () => {
  const unreadable = (operation: Operation) => ({ ...operation, type: 'unreadable' as const, request: {} });

  it.each(['claimed', 'resumed'])('is held when it is %s, which is logged once', async (how) => {
    const { logger, lines } = errorLog();
    const rig = await Rig.start({ logger });
    const { claim, resumable } = rig.ledger;
    const id = how === 'resumed' ? await attach(rig) : '';
    if (how === 'resumed') await rig.untilSent('attachVolume');
    rig.ledger.claim = async (...args: Parameters<typeof claim>) =>
      (await claim.apply(rig.ledger, args)).map((one) => ({ ...one, operation: unreadable(one.operation) }));
    rig.ledger.resumable = async (epoch) => (await resumable.call(rig.ledger, epoch)).map(unreadable);
    if (how === 'resumed') await rig.restart();
    const held = id === '' ? await attach(rig) : id;
    await rig.pass(SECOND_MS);
    for (let time = 0; time < 2; time += 1)
      await rig.during(Promise.resolve(rig.domain.ownership.engine?.sweep()));
    expect(rig.domain.ownership.engine?.heldOperations()).toMatchObject([
      { id: held, held: 'its type is not known' },
    ]);
    expect(await rig.operation(held)).toMatchObject({ status: 'executing', held: 'its type is not known' });
    expect(lines).toEqual([
      [
        'An operation is held: a person has to decide about it',
        expect.objectContaining({ operation_id: held, reason: 'its type is not known' }),
      ],
    ]);
    expect(rig.calls).toEqual(how === 'resumed' ? ['attachVolume'] : []);
  });
});
