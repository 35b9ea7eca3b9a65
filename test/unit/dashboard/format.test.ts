import { expect, it } from 'vitest';
import { figureText, minuteOfDay } from '~/dashboard/src/format';

it('five minutes after midnight is 00:05 on the axis of a chart', () => {
  expect(minuteOfDay(new Date(2026, 0, 1, 0, 5).getTime())).toBe('00:05');
});

it('a queue that was busy for a moment is neither 0.0, nor twice 0.1 on the axis of its chart', () => {
  expect([0, 0.05, 0.1, 0.15000000000000002].map(figureText)).toEqual(['0', '0.05', '0.1', '0.15']);
  expect([0.0333333, 12, 1_234].map(figureText)).toEqual(['0.0333', '12', '1234']);
});
