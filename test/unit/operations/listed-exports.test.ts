import { expect, it } from 'vitest';
import { Rig } from './rig';

it('a list of exports with a limit counts what it shows: one that was withdrawn takes no place in it', async () => {
  const rig = await Rig.start();
  for (const _ of [1, 2]) {
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    await rig.during(rig.domain.exports.publish(id, {}));
  }
  const listed = async (limit?: number) =>
    (await rig.domain.exports.list({ limit })).map(({ volumeId }) => volumeId);
  const [first = '', second] = await listed();
  expect(await listed(1)).toEqual([first]);
  await rig.during(rig.domain.exports.withdraw(first, { force: false }));
  expect(await listed(1)).toEqual([second]);
  expect(await listed()).toEqual([second]);
});
