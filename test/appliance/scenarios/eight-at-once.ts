import { check, type Scenario } from '../scenario';

const COUNT = 8;

/**
 * Size says nothing when all are equal, order says nothing when all come at once, letters say nothing when
 * they are given again.
 */
export const eightAtOnce: Scenario = {
  name: 'eight-at-once',
  story: '8 equal volumes attached at once, detached in random order, their letters reused by 8 others',
  machines: ['pc', 'q35'],
  async run(world) {
    const first = await world.createMany(COUNT);
    await Promise.all(first.map((id) => world.attach(id)));
    await world.verifyAll(first);
    const letters = await lettersOf(first);

    await Promise.all(shuffled(first).map((id) => world.detach(id)));
    check(world.guest.plugged().length === 0, 'disks are still plugged');

    const second = await Promise.all(Array.from({ length: COUNT }, (_, n) => world.create(`other-${n}`)));
    await Promise.all(second.map((id) => world.attach(id)));
    await world.verifyAll(second);
    const reused = (await lettersOf(second)).filter((letter) => letters.includes(letter));
    check(reused.length > 0, 'no letter was used again: this run has shown nothing');
    // What was written to the first eight is still theirs alone.
    for (const id of first) await world.verify(id);
    return `${reused.length} letters reused`;

    function lettersOf(ids: readonly string[]): Promise<string[]> {
      return Promise.all(ids.map(async (id) => (await world.mapping(id)).device_path));
    }
  },
};

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
