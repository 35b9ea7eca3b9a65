import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { KnownQueue } from '~/server/database/accept/known-queue';
import { SeededRandom } from '../../contract/http/fuzz/seeded-random';

const epoch = { applianceId: 'appliance', number: 3 };
const hashOf = (body: string) => createHash('sha256').update(body).digest('hex');

function known(max = 10): KnownQueue {
  const queue = new KnownQueue(max);
  queue.learn(epoch, []);
  queue.count(epoch, 0);
  return queue;
}

describe('what is known of the queue', () => {
  it('is nothing before the first look of an epoch, and after it was forgotten', () => {
    const queue = new KnownQueue(10);
    expect(queue.isKnown(epoch, 1)).toBe(false);
    queue.learn(epoch, []);
    expect(queue.isKnown(epoch, 1)).toBe(false);
    queue.count(epoch, 9);
    expect([1, 2].map((places) => queue.isKnown(epoch, places))).toEqual([true, false]);
    expect(queue.isKnown({ ...epoch, number: 4 }, 1)).toBe(false);
    expect(queue.isKnown({ ...epoch, applianceId: 'another' }, 1)).toBe(false);
    queue.forget();
    expect(queue.isKnown(epoch, 1)).toBe(false);
  });

  it('has as many places as are left by those that wait, and gives none twice', () => {
    const queue = known(4);
    queue.count(epoch, 1);
    queue.taken(1);
    expect([queue.take(), queue.take(), queue.take()]).toEqual([true, true, false]);
    queue.taken(1);
    expect(queue.isKnown(epoch, 1)).toBe(false);
  });

  it('a request that is noted twice ends once', () => {
    const queue = known();
    queue.note('one', hashOf('A'));
    queue.note('one', hashOf('A'));
    queue.ended('one');
    queue.ended('one');
    expect(queue.mayRepeat(hashOf('A'))).toBe(false);
  });

  it('rows without a hash repeat nothing', () => {
    const queue = known();
    queue.learn(epoch, [
      { id: 'old', hash: null },
      { id: 'new', hash: hashOf('A') },
    ]);
    expect(['A', 'B'].map((body) => queue.mayRepeat(hashOf(body)))).toEqual([true, false]);
  });

  it('never misses an unfinished request, in any order of requests, ends and looks', () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const random = new SeededRandom(seed);
      const pick = (count: number) => random.below(count);
      const queue = known(1000);
      const unfinished = new Map<string, string>();
      for (let step = 0; step < 60; step += 1) {
        const [id, body] = [`operation ${pick(20)}`, `volume ${pick(4)}`];
        switch (pick(4)) {
          case 0:
          case 1:
            if (unfinished.has(id)) break;
            queue.note(id, hashOf(body));
            unfinished.set(id, body);
            break;
          case 2:
            unfinished.delete(id);
            queue.ended(id);
            break;
          default:
            queue.learn(
              epoch,
              [...unfinished].map(([known, its]) => ({ id: known, hash: hashOf(its) })),
            );
        }
        const there = new Set(unfinished.values());
        const wrong = [0, 1, 2, 3].filter(
          (n) => queue.mayRepeat(hashOf(`volume ${n}`)) !== there.has(`volume ${n}`),
        );
        if (wrong.length > 0) expect.fail(`seed ${seed}, step ${step}: volumes ${wrong}`);
      }
    }
  });
});
