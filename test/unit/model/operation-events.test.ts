import { describe, expect, it } from 'vitest';
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

describe('catching up with the journal', () => {
  const heardOf = (events: OperationEvents) => {
    const heard: number[] = [];
    events.onEntry(({ id }) => heard.push(id));
    return heard;
  };

  it('tells what was not told, and nothing twice, whichever of journal and writer comes first', () => {
    const events = new OperationEvents();
    const heard = heardOf(events);
    expect(events.toldUpTo).toBeNull();
    for (const id of [10, 13]) events.publish([entry(id)]);
    expect(events.toldUpTo).toBe(10);
    events.catchUp([11, 12, 13, 14].map(entry));
    expect(events.toldUpTo).toBe(14);
    events.publish([entry(14)]);
    events.catchUp([]);
    expect(heard).toEqual([10, 13, 11, 12, 14]);
    expect(events.overtaken(13).map(({ id }) => id)).toEqual([11, 12]);
  });

  it('goes no further back than it remembers what it has told', () => {
    const events = new OperationEvents();
    for (let id = 1; id <= LIMITS.STREAM_TOLD + 50; id += 1) events.publish([entry(id)]);
    expect(events.toldUpTo).toBe(50);
  });

  it('takes an id that a restored database gives again for another entry', () => {
    const events = new OperationEvents();
    const heard = heardOf(events);
    events.publish([entry(10)]);
    events.publish([{ ...entry(10), operationId: 'another' }]);
    expect(heard).toEqual([10, 10]);
  });
});
