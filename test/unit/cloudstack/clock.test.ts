import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '~/lab/cloudstack/http';
import { type ExpiryAnswer, measureSkew, skewText } from '~/server/cloudstack/wire/clock-skew';
import { type Clock, systemClock } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { cannedClient, configRow, fails, startCannedServer } from './canned-server';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A server whose clock is `skew` ahead of ours, and how often it was asked. `expires` has whole seconds. */
function serverAhead(skew: number, windowMs = Number.POSITIVE_INFINITY) {
  const state = { asked: 0 };
  const ask = async (ahead: number): Promise<ExpiryAnswer> => {
    state.asked += 1;
    const expires = Math.floor(ahead / SECOND) * SECOND;
    return expires >= skew && expires <= skew + windowMs ? 'taken' : 'refused';
  };
  return { state, ask };
}

const SKEWS = [
  0,
  1,
  -1,
  4_000,
  -59_000,
  9 * MINUTE,
  -11 * MINUTE,
  20 * MINUTE,
  2 * HOUR,
  -2 * HOUR,
  12 * HOUR,
];

describe("CloudStack's clock from which expiries it takes", () => {
  it.each([...SKEWS, -40 * DAY, 56 * 365 * DAY, -56 * 365 * DAY])('a server %i ms ahead', async (skew) => {
    const { state, ask } = serverAhead(skew);
    expect(Math.abs(((await measureSkew(ask)) ?? Number.NaN) - skew)).toBeLessThanOrEqual(2 * SECOND);
    expect(state.asked).toBeLessThanOrEqual(42);
  });

  it.each(SKEWS.filter((skew) => Math.abs(skew) <= 2 * HOUR))(
    'a server %i ms ahead that takes no expiry beyond 15 minutes',
    async (skew) => {
      const { state, ask } = serverAhead(skew, 15 * MINUTE);
      expect(Math.abs(((await measureSkew(ask)) ?? Number.NaN) - skew)).toBeLessThanOrEqual(2 * SECOND);
      expect(state.asked).toBeLessThanOrEqual(42);
    },
  );

  it('a server that refuses everything tells nothing, and is not asked for long', async () => {
    let asked = 0;
    const refuse = async () => {
      asked += 1;
      return 'refused' as const;
    };
    expect([await measureSkew(refuse), asked]).toEqual([null, 16]);
  });

  it('an answer of which nothing can be concluded ends the search', async () => {
    for (const turn of [1, 2, 5, 9]) {
      const { state, ask } = serverAhead(20 * MINUTE);
      const silent = async (ahead: number) => (state.asked + 1 >= turn ? null : ask(ahead));
      expect(await measureSkew(silent)).toBeNull();
    }
  });

  it('a 401 with another reason in the middle never yields a wrong time', async () => {
    for (let from = 1; from <= 25; from += 1) {
      for (const length of [1, 2, 5]) {
        const { state, ask } = serverAhead(20 * MINUTE);
        const disturbed = async (ahead: number) => {
          const answer = await ask(ahead);
          return state.asked >= from && state.asked < from + length ? 'refused' : answer;
        };
        const skew = await measureSkew(disturbed);
        if (skew !== null) expect(Math.abs(skew - 20 * MINUTE)).toBeLessThanOrEqual(5 * SECOND);
      }
    }
  });

  it('is said in words', () => {
    expect(skewText(1_200_400)).toBe("the clock of this machine is 1200 s behind CloudStack's");
    expect(skewText(-61_000)).toBe("the clock of this machine is 61 s ahead of CloudStack's");
  });
});

describe('a wrong wall clock, against the simulator, which sends no Date', () => {
  let simulator: Simulator | null = null;
  afterEach(async () => {
    await simulator?.stop();
    simulator = null;
  });

  /** Our clock, wrong by `state.wrong` ms, and moved on by hand. */
  async function start(wrong: number, options: { enforcePost?: boolean } = {}) {
    const state = { wrong, passed: 0 };
    const clock: Clock = {
      now: () => systemClock.now() + state.wrong + state.passed,
      monotonic: () => systemClock.monotonic() + state.passed,
      sleep: systemClock.sleep,
    };
    const theirs: Clock = { ...systemClock, now: () => systemClock.now() + state.passed };
    simulator = await startSimulator({ clock: theirs, ...options });
    const { url, apiKey, secretKey } = simulator;
    const client = cannedClient([configRow({ apiUrl: url, apiKey, secretKey })], null, { clock });
    return { state, client, simulator };
  }

  it.each([
    ['20 minutes behind', -20 * MINUTE, {}],
    ['two hours behind', -2 * HOUR, {}],
    ['twelve years behind', -12 * 365 * DAY, {}],
    ['20 minutes behind, of a server that enforces timestamps', -20 * MINUTE, { enforcePost: true }],
    ['one hour ahead, of a server that enforces timestamps', HOUR, { enforcePost: true }],
  ])('%s: the first call measures, and all go on', async (_what, wrong, options) => {
    const { client } = await start(wrong, options);
    expect((await client.cloud.capabilities()).version).toBe('4.20.0.0');
    const { calls, clockSkewMs, clockSkewSource } = client.cloud.statistics();
    expect(Math.abs((clockSkewMs ?? Number.NaN) + wrong)).toBeLessThan(5 * SECOND);
    expect(clockSkewSource).toBe('expires');
    for (let time = 0; time < 5; time += 1) await client.cloud.listZones();
    expect(client.cloud.statistics().calls - calls, 'each is sent once').toBe(5);
  });

  it('a clock that jumps back two hours while the daemon runs stops nothing', async () => {
    const { state, client } = await start(0);
    await client.cloud.capabilities();
    expect(client.cloud.statistics()).toMatchObject({ calls: 1, clockSkewMs: null });
    state.wrong = -2 * HOUR;
    await Promise.all([client.cloud.listZones(), client.cloud.listZones(), client.cloud.listZones()]);
    const { calls } = client.cloud.statistics();
    state.wrong = 3 * HOUR;
    await client.cloud.listZones();
    expect(client.cloud.statistics().calls, 'our wall clock does not count any more').toBe(calls + 1);
    expect(client.cloud.statistics().clockSkewMs).toBeLessThan(-2.9 * HOUR);
  });

  it('what was measured outlasts a refusal that has another reason', async () => {
    const { client, simulator: cloud } = await start(-2 * HOUR);
    await client.cloud.capabilities();
    cloud.model.conditions.add({ kind: 'database-away' });
    await expect(client.cloud.listZones()).rejects.toMatchObject({ kind: 'authentication' });
    cloud.model.conditions.clear();
    const { calls } = client.cloud.statistics();
    await client.cloud.listZones();
    expect(client.cloud.statistics().calls - calls, 'sent once').toBe(1);
  });

  it('it is measured at most once a minute, and only when asked or after a 401', async () => {
    const { state, client } = await start(0);
    await client.cloud.listZones();
    expect(client.cloud.statistics().calls).toBe(1);
    await client.cloud.measureClock();
    const { calls, clockSkewMs } = client.cloud.statistics();
    expect(Math.abs(clockSkewMs ?? Number.NaN)).toBeLessThan(5 * SECOND);
    await client.cloud.measureClock();
    expect(client.cloud.statistics().calls).toBe(calls);
    state.passed = LIMITS.CLOCK_MEASURE_PAUSE_MS + 1;
    await client.cloud.measureClock();
    expect(client.cloud.statistics().calls).toBeGreaterThan(calls);
  });

  it('a wrong key is asked about ever less often', async () => {
    const { state, client } = await start(0);
    client.rows = client.rows.map((row) => ({ ...row, secretKey: 'wrong' }));
    const cost = async () => {
      const before = client.cloud.statistics().calls;
      const text = await client.cloud.capabilities().then(String, String);
      expect(text).toContain('secret_key');
      expect(text).not.toContain('And the clock');
      return client.cloud.statistics().calls - before;
    };
    expect([await cost(), await cost()]).toEqual([17, 1]);
    state.passed = LIMITS.CLOCK_MEASURE_PAUSE_MS + 1;
    expect(await cost()).toBe(17);
    state.passed += LIMITS.CLOCK_MEASURE_PAUSE_MS + 1;
    expect(await cost(), 'now two minutes').toBe(1);
  });

  it.each([
    ['is not answered', { socket: (response: ServerResponse) => void response.destroy() }],
    ['is one too many', { status: 429 }],
  ])('from a question about an expiry that %s nothing is concluded', async (_what, answer) => {
    const server = await startCannedServer();
    const { cloud } = cannedClient([configRow({ apiUrl: server.url })]);
    // The call and the first question are refused, by a server that does not say what time it has.
    server.script = (_request, index) =>
      index < 2 ? { ...fails('listCapabilities', 401, 'unable to verify'), headers: { date: '' } } : answer;
    await expect(cloud.capabilities()).rejects.toMatchObject({ kind: 'authentication' });
    expect(cloud.statistics()).toMatchObject({ calls: 3, clockSkewMs: null });
    await server.stop();
  });

  it('while CloudStack cannot read its own database nothing is concluded', async () => {
    const { client, simulator: cloud } = await start(0);
    cloud.model.conditions.add({ kind: 'database-away' });
    const text = await client.cloud.capabilities().then(String, String);
    expect(text).toContain('CloudStack API error 401');
    expect(client.cloud.statistics().clockSkewMs).toBeNull();
  });
});
