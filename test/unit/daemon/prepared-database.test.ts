import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { PreparedDatabase } from '~/server/daemon/prepared-database';
import type { Ledger } from '~/server/model/ledger';

const NOW = Date.parse('2026-08-19T10:00:00Z');

/** A database whose schema is there when `end` is called. */
function database(probed = NOW) {
  const ledger = { probe: async () => probed } as Partial<Ledger> as Ledger;
  let said: (reason: string) => void = () => {};
  let end: () => void = () => {};
  const prepared = new PreparedDatabase({
    ledger,
    prepare: (signal, onWaiting = () => {}) => {
      said = onWaiting;
      return new Promise((resolve) => {
        end = resolve;
        signal.addEventListener('abort', () => resolve());
      });
    },
  });
  return { prepared, ledger, say: (reason: string) => said(reason), end: () => end() };
}

const health = (prepared: PreparedDatabase) => prepared.health(null, () => NOW, null);

describe('the database of the daemon', () => {
  it('is not to be had before its schema is there, and says what it waits for', async () => {
    const { prepared, ledger, say, end } = database();
    const preparing = prepared.prepare(new AbortController().signal);
    expect(await health(prepared)).toMatchObject({ status: 'unknown' });
    expect(() => prepared.ledger).toThrow(expect.objectContaining({ code: 'STARTING' }));
    say('it is away');
    expect(prepared.waitsFor).toBe('waiting for the database: it is away');
    expect(await health(prepared)).toEqual({ status: 'unhealthy', message: 'it is away' });
    expect(() => prepared.ledger).toThrow(expect.objectContaining({ code: 'DATABASE_UNAVAILABLE' }));
    end();
    await preparing;
    expect(prepared.waitsFor).toBeNull();
    expect(prepared.ledger).toBe(ledger);
    expect(await health(prepared)).toMatchObject({ status: 'healthy' });
  });

  it('stays shut when the daemon stops before that', async () => {
    const { prepared } = database();
    const stopping = new AbortController();
    const preparing = prepared.prepare(stopping.signal);
    stopping.abort();
    await preparing;
    expect(() => prepared.ledger).toThrow(DaemonError);
  });

  it('is degraded when its clock and ours are far apart', async () => {
    const { prepared, end } = database(NOW + 3_600_000);
    const preparing = prepared.prepare(new AbortController().signal);
    end();
    await preparing;
    expect(await health(prepared)).toMatchObject({ status: 'degraded' });
  });
});
