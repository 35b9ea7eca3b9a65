import { describe, expect, it } from 'vitest';
import { backOffMs, jitteredBackOffMs, RetryGate } from '~/server/core/back-off';

const backOff = { baseMs: 250, capMs: 5_000 };

describe('back-off', () => {
  it('doubles from the base up to the cap, however many failures there were', () => {
    expect([1, 2, 3, 4, 5, 6, 7].map((failures) => backOffMs(backOff, failures))).toEqual([
      250, 500, 1_000, 2_000, 4_000, 5_000, 5_000,
    ]);
    expect(backOffMs(backOff, 1_000_000)).toBe(5_000);
  });

  it('with jitter lies between half of the plain pause and all of it', () => {
    const at = (fraction: number) => jitteredBackOffMs(backOff, 3, { fraction: () => fraction });
    expect([at(0), at(0.5), at(0.9999)]).toEqual([500, 750, 1_000]);
  });
});

describe('RetryGate', () => {
  it('stays closed longer after each failure, and forgets them after a success', async () => {
    let now = 0;
    const gate = new RetryGate({ monotonic: () => now }, backOff);
    const fail = () => gate.run(() => Promise.reject(new Error('no')));
    expect(gate.isOpen).toBe(true);
    for (const pauseMs of [250, 500]) {
      await expect(fail()).rejects.toThrow('no');
      now += pauseMs - 1;
      expect(gate.isOpen).toBe(false);
      now += 1;
      expect(gate.isOpen).toBe(true);
    }
    expect(await gate.run(async () => 'done')).toBe('done');
    expect(gate.isOpen).toBe(true);
    await expect(fail()).rejects.toThrow('no');
    now += 250;
    expect(gate.isOpen).toBe(true);
  });
});
