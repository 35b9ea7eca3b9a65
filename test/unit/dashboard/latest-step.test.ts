import { expect, it } from 'vitest';
import { latestStep } from '~/dashboard/src/charts/latest-step';

it('the step that has just begun, of which nothing is known yet, hides the one before it from nobody', () => {
  const known = [null, 3, 4, 5];
  expect(latestStep([known, known])).toBe(3);
  expect(latestStep([known, [null, 3, 4, null]]), 'something is known of it').toBe(3);
  expect(
    latestStep([
      [null, 3, 4, null],
      [null, 0, 0, null],
    ]),
  ).toBe(2);
  expect(latestStep([[1, 2, null, null]]), 'nobody has looked for longer than a step').toBe(3);
  expect(latestStep([[], []])).toBe(-1);
});
