import { expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { JournalEntry } from '~/server/model/operation';
import { OperationEvents } from '~/server/model/operation-events';

const entry = (id: number): JournalEntry => ({
  id,
  operationId: 'operation',
  sequence: id,
  step: 'operation',
  state: 'note',
  data: {},
  at: 0,
});

it('knows what a reader has not seen who left between an entry and a smaller one', () => {
  const events = new OperationEvents();
  for (const id of [10, 12, 14, 11, 15]) events.publish([entry(id)]);
  const missed = (id: number) => events.overtaken(id).map((one) => one.id);
  expect([12, 14].map(missed)).toEqual([[11], [11]]);
  // Came before it, is it, or came after it.
  expect([10, 11, 15, 16].map(missed)).toEqual([[], [], [], []]);
});

it('remembers a bounded number of them, the latest', () => {
  const events = new OperationEvents();
  const last = LIMITS.STREAM_OVERTAKEN + 1;
  events.publish([entry(last + 1)]);
  for (let id = 1; id <= last; id += 1) events.publish([entry(id)]);
  const missed = events.overtaken(last + 1).map((one) => one.id);
  expect([missed.length, missed[0], missed.at(-1)]).toEqual([LIMITS.STREAM_OVERTAKEN, 2, last]);
});
