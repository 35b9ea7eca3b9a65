import type { JournalEntryReply } from '~/server/http/schemas/operations';
import { visible } from './output/text';

/** What a journal entry means, for people, and who asked for it where the entry says so. */
export function entryText(entry: JournalEntryReply): string {
  const { actor } = entry.data;
  const meaning = meaningOf(entry);
  return typeof actor === 'string' ? `${meaning}, asked for by ${visible(actor)}` : meaning;
}

function meaningOf({ step, state, data, unreadable }: JournalEntryReply): string {
  const text = (name: string) => (typeof data[name] === 'string' ? visible(data[name]) : '');
  const because = (reason: string) => (reason === '' ? '' : `: ${reason}`);
  const what = step === 'operation' ? '' : `${step}: `;
  if (unreadable !== undefined) return `${step}: not understood: ${visible(unreadable)}`;
  switch (state) {
    case 'intent':
      return `${step}: CloudStack is to be asked`;
    case 'accepted':
      return `${step}: CloudStack works on it`;
    case 'finished':
      return `${step}: CloudStack says ${text('outcome') || 'it has ended'}${because(text('text'))}`;
    case 'refused':
      // The number of an error is CloudStack's; without one it was never asked, and the reason is our own.
      return 'code' in data
        ? `${step}: CloudStack has refused${because(text('text'))}`
        : `${step}: not sent${data.resent === true ? ' again' : ''}${because(text('text'))}`;
    case 'done':
      return `${step}: done`;
    case 'failing':
      return `${what}giving up${because(text('message'))}`;
    case 'waiting':
      return `${step}: waiting${because(text('reason'))}`;
    case 'note':
      return `${step}${because(text('message') || text('reason') || 'noted')}`;
    case 'pending':
    case 'executing':
    case 'completed':
    case 'failed':
    case 'cancelled':
      return `${what}${state}`;
    default:
      return state satisfies never;
  }
}
