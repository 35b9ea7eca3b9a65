import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TurnGate } from '~/server/core/concurrency/turn-gate';
import { LIMITS } from '~/server/core/limits';

/** An event loop with its own time: in each round, what was asked for soon and the sleepers whose time has come. */
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
    await new Promise(setImmediate);
  }
}

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

const HELD = LIMITS.TURNS_HELD_MS;

describe('turns of the background', () => {
  it('there is one in each round, in the order of asking', async () => {
    const loop = new Loop();
    const turns: Turn[] = [];
    ask(loop, 4, turns);
    for (let round = 0; round < 4; round += 1) await loop.round(0.1);
    expect(turns.map(({ nth, round }) => [nth, round])).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
      [3, 4],
    ]);
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

/** What happens in a round: how long it takes, urgent work that begins, some that ends, turns that are asked for. */
const rounds = fc.array(
  fc.record({
    ms: fc.double({ min: 0.05, max: 3, noNaN: true }),
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
        /** Since when somebody waits without a turn, and what was under way when the last round began. */
        let waitingSince: number | null = null;
        for (const { ms, begins, ends: ending, asks } of script) {
          for (let n = 0; n < begins; n += 1) ends.push(begin(loop));
          for (const end of ends.splice(0, ending)) await end();
          ask(loop, asks, turns, asked);
          asked += asks;
          const [before, urgent] = [turns.length, ends.length];
          if (asked > before) waitingSince ??= loop.time;
          await loop.round(ms);
          const given = turns.length - before;
          expect(given).toBeLessThanOrEqual(1);
          if (urgent === 0 && asked > before) expect(given, 'nothing urgent, so one is given').toBe(1);
          if (given === 1) waitingSince = null;
          // The hold begins in the round after, and its end is noticed in a round.
          if (waitingSince !== null) expect(loop.time - waitingSince).toBeLessThan(HELD + 3 * 3);
        }
        for (const end of ends) await end();
        for (let left = asked - turns.length; left > 0; left -= 1) await loop.round(0.1);
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
