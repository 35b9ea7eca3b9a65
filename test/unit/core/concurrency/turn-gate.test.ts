import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TurnGate } from '~/server/core/concurrency/turn-gate';
import { LIMITS } from '~/server/core/limits';

/**
 * An event loop with its own time: in each round, what was asked for soon and the sleepers
 * whose time has come.
 */
class Loop {
  time = 0;
  rounds = 0;
  private asked: (() => void)[] = [];
  private sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  readonly gate = new TurnGate(
    {
      monotonic: () => this.time,
      sleep: (ms) => new Promise((wake) => this.sleepers.push({ at: this.time + ms, wake })),
    },
    (work) => this.asked.push(work),
  );

  /** One round, after `ms`. */
  async round(ms: number): Promise<void> {
    this.time += ms;
    this.rounds += 1;
    const [asked, due] = [this.asked, this.sleepers.filter(({ at }) => at <= this.time)];
    this.asked = [];
    this.sleepers = this.sleepers.filter((one) => !due.includes(one));
    for (const { wake } of due) wake();
    for (const work of asked) work();
    await settled();
  }
}

const settled = () => new Promise(setImmediate);

/** Urgent work that ends when it is told to. */
function begin({ gate }: Loop): () => Promise<void> {
  let end = () => {};
  const ended = gate.urgently(() => new Promise<void>((resolve) => (end = resolve)));
  return () => {
    end();
    return ended;
  };
}

interface Turn {
  readonly nth: number;
  readonly round: number;
  readonly at: number;
}

function ask(loop: Loop, count: number, turns: Turn[], from = 0): void {
  for (let nth = from; nth < from + count; nth += 1)
    void loop.gate.next().then(() => turns.push({ nth, round: loop.rounds, at: loop.time }));
}

const { TURNS_HELD_MS: HELD, TURNS_FLOW_MS: FLOW } = LIMITS;

describe('turns of the background', () => {
  it('while nobody else is there everybody has one at once', async () => {
    const loop = new Loop();
    const turns: Turn[] = [];
    ask(loop, 4, turns);
    await settled();
    expect(turns.map(({ nth, round }) => [nth, round])).toEqual([0, 1, 2, 3].map((nth) => [nth, 0]));
  });

  it('soon after urgent work there is one in each round, in the order of asking; later all at once', async () => {
    const loop = new Loop();
    const turns: Turn[] = [];
    await begin(loop)();
    ask(loop, 6, turns);
    for (let round = 0; round < 3; round += 1) await loop.round(FLOW / 4);
    await loop.round(FLOW);
    expect(turns.map(({ round }) => round)).toEqual([1, 2, 3, 4, 4, 4]);
    expect(turns.map(({ nth }) => nth)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('while urgent work is under way there is none, and at its end the next', async () => {
    const loop = new Loop();
    const turns: Turn[] = [];
    const end = begin(loop);
    ask(loop, 1, turns);
    for (let round = 0; round < 3; round += 1) await loop.round(1);
    expect(turns).toEqual([]);
    await end();
    await loop.round(0);
    expect(turns).toHaveLength(1);
  });

  it('urgent work that fails holds nobody', async () => {
    const loop = new Loop();
    const turns: Turn[] = [];
    await expect(loop.gate.urgently(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused');
    ask(loop, 1, turns);
    await loop.round(0);
    expect(turns).toHaveLength(1);
    await loop.round(FLOW);
    ask(loop, 1, turns, 1);
    await settled();
    expect(turns).toHaveLength(2);
  });

  it('urgent work without end: held for a while, then free for as long, and again', async () => {
    const loop = new Loop();
    const turns: Turn[] = [];
    begin(loop);
    ask(loop, 1_000, turns);
    for (let round = 0; round < 10 * HELD; round += 1) await loop.round(1);
    const free = turns.length / (10 * HELD);
    expect(free).toBeGreaterThan(0.3);
    expect(free).toBeLessThan(0.6);
  });
});

/**
 * What happens in a round: how long it takes, urgent work that begins, some that ends, turns that are asked
 * for.
 */
const rounds = fc.array(
  fc.record({
    ms: fc.oneof(
      fc.double({ min: 0.05, max: 3, noNaN: true }),
      fc.constant(0),
      fc.constant(2 * LIMITS.TURNS_FLOW_MS),
    ),
    begins: fc.integer({ min: 0, max: 2 }),
    ends: fc.integer({ min: 0, max: 3 }),
    asks: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 20, maxLength: 150 },
);

describe('whatever happens', () => {
  it('everybody has a turn in time and in order, one in a round, and urgent work is spared', async () => {
    await fc.assert(
      fc.asyncProperty(rounds, async (script) => {
        const loop = new Loop();
        const turns: Turn[] = [];
        const ends: (() => Promise<void>)[] = [];
        let asked = 0;
        let urgentAt = Number.NEGATIVE_INFINITY;
        /** Since when somebody waits without a turn. */
        let waitingSince: number | null = null;
        let late = 0;
        for (const { ms, begins, ends: ending, asks } of script) {
          for (let n = 0; n < begins; n += 1) ends.push(begin(loop));
          for (const end of ends.splice(0, ending)) await end();
          ask(loop, asks, turns, asked);
          asked += asks;
          await settled();
          const [before, urgent] = [turns.length, ends.length];
          if (urgent > 0 || begins + ending > 0) urgentAt = loop.time;
          await loop.round(ms);
          const given = turns.length - before;
          if (loop.time < urgentAt + FLOW) expect(given, 'one in a round').toBeLessThanOrEqual(1);
          if (urgent === 0 && asked > before) expect(given, 'nothing urgent').toBeGreaterThanOrEqual(1);
          if (given > 0 || asked === turns.length) [waitingSince, late] = [null, 0];
          else waitingSince ??= loop.time;
          // One round notices that the hold is over, the next gives a turn.
          if (waitingSince !== null && loop.time >= waitingSince + HELD) late += 1;
          expect(late, 'held for long enough').toBeLessThanOrEqual(1);
        }
        for (const end of ends) await end();
        for (let left = asked - turns.length; left > 0; left -= 1) await loop.round(FLOW);
        expect(turns.map(({ nth }) => nth)).toEqual(Array.from({ length: asked }, (_, nth) => nth));
      }),
      { numRuns: 200 },
    );
  });

  it('urgent work one after another, with a moment in between: never held up by more than a turn each', async () => {
    const piece = fc.double({ min: 0.1, max: HELD / 4, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 5, maxLength: 60 }), async (pieces) => {
        const loop = new Loop();
        const turns: Turn[] = [];
        await begin(loop)();
        ask(loop, 1_000, turns);
        for (const ms of pieces) {
          const end = begin(loop);
          const before = turns.length;
          for (let round = 0; round < 3; round += 1) await loop.round(ms);
          expect(turns.length - before, 'none while it is under way').toBe(0);
          await end();
          await loop.round(0.05);
          expect(turns.length - before, 'one in between').toBe(1);
        }
      }),
      { numRuns: 100 },
    );
  });
});
