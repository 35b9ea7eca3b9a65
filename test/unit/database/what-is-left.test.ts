import { expect, it } from 'vitest';
import { whatIsLeft } from '~/server/database/journal/what-is-left';
import type { JournalEntry } from '~/server/model/operation';

const entry = (fields: Partial<JournalEntry>): JournalEntry => ({
  id: 1,
  operationId: 'one',
  sequence: 1,
  step: 'operation',
  state: 'executing',
  data: {},
  at: 0,
  ...fields,
});

it('what was merely intended, waited for or noted is not told as done', () => {
  const told = [
    entry({}),
    entry({ step: 'map', state: 'waiting' }),
    entry({ step: 'publish', state: 'note' }),
  ];
  expect(whatIsLeft(told)).toBe('by its journal nothing was begun');
});

it('an entry that is not understood is named: more may have happened', () => {
  const odd = entry({ sequence: 7, step: 'attach-volume', state: 'note', unreadable: 'its data is no JSON' });
  expect(whatIsLeft([odd])).toBe('entry 7 (attach-volume) was not understood');
});
