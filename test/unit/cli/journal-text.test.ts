import { expect, it } from 'vitest';
import { entryText } from '~/cli/journal-text';
import type { JournalEntryReply } from '~/server/http/schemas/operations';

const entry = (data: JournalEntryReply['data']): JournalEntryReply => ({
  id: 1,
  operation_id: '7b0c',
  sequence: 3,
  step: 'detach-volume',
  state: 'refused',
  data: { job_id: '1f29', ...data },
  at: '2025-08-19T20:30:00.000Z',
});

it.each([
  [{ code: 431, text: 'no such volume' }, 'detach-volume: CloudStack has refused: no such volume'],
  [
    { withheld: 'APPLIANCE_PROTECTED', text: 'it is a disk of the appliance' },
    'detach-volume: not sent: it is a disk of the appliance',
  ],
  [{ settled: true, text: 'it is detached already' }, 'detach-volume: not sent: it is detached already'],
  [
    { resent: true, text: 'it was attached elsewhere' },
    'detach-volume: not sent again: it was attached elsewhere',
  ],
])('a call that was withheld is not told as one that CloudStack has refused (%#)', (data, text) => {
  expect(entryText(entry(data))).toBe(text);
});
