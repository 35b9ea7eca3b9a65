import { expect, it } from 'vitest';
import { minuteOfDay } from '~/dashboard/src/format';

it('five minutes after midnight is 00:05 on the axis of a chart', () => {
  expect(minuteOfDay(new Date(2026, 0, 1, 0, 5).getTime())).toBe('00:05');
});
