import type { JournalEntryReply } from '../../../server/http/schemas/operations';
import { byId, element, keyedList, type Row, setAttribute, setText, show, visible } from '../dom';
import { clockTime, shortId } from '../format';
import type { OperationPage } from '../pages/operation-page';
import { showNotice } from '../stale';
import { staleText } from '../state';
import { stepsOf } from '../steps';
import { contextOf } from './context';
import { operationButtons } from './operation-buttons';
import { operationFacts } from './operation-facts';
import { operationPill } from './parts';
import { timeline } from './timeline';
import { subject, TYPE_WORDS, target, waitText } from './words';

/** One operation: its state and reason, its steps, its whole journal. */
export function operationView(page: OperationPage): () => void {
  const [title, problem] = [byId('operation-title'), byId('operation-problem')];
  const context = contextOf(page);
  const status = operationPill();
  const steps = timeline();
  const buttons = operationButtons(page.live);
  byId('operation-state').append(status.element);
  byId('operation-steps').append(steps.element);
  byId('operation-acts').append(buttons.element);
  const journal = keyedList<JournalEntryReply>(
    byId('journal-list'),
    ({ sequence }) => String(sequence),
    entryRow,
  );
  let shownVersion = '';
  setText(title, `Operation ${shortId(page.id)}`);
  return () => {
    const { operation } = page;
    showNotice('journal', staleText(page.live.part('operation')));
    if (operation === null) return;
    const words = [TYPE_WORDS[operation.type], subject(context, operation), target(context, operation)];
    setText(title, words.filter(Boolean).join(' '));
    document.title = visible(`${words.slice(0, 2).join(' ')}: volume daemon`);
    status.update(operation);
    const { error_code, error } = operation;
    const text = [error_code, error, waitText(operation, clockTime)].filter(Boolean).join(': ');
    setText(problem, text);
    setAttribute(problem, 'data-tone', operation.status === 'failed' ? 'bad' : 'warn');
    show(problem, text !== '');
    const entries = page.journal;
    steps.update(stepsOf(operation, entries), page.live.nowMs());
    buttons.update(operation);
    journal(entries);
    show(byId('journal-empty'), entries.length === 0);
    // What is selected stays selected until something has changed.
    if (shownVersion === operation.updated_at) return;
    shownVersion = operation.updated_at;
    byId('operation-facts').replaceChildren(operationFacts(operation));
  };
}

/** An entry never changes. */
function entryRow({ at, step, state, data, unreadable }: JournalEntryReply): Row<JournalEntryReply> {
  const text = unreadable === undefined ? JSON.stringify(data) : `not understood: ${unreadable}`;
  return {
    element: element(
      'li',
      { class: 'journal-entry' },
      element('span', { class: 'quiet when' }, clockTime(at)),
      element('span', { class: 'subject' }, step),
      element('span', {}, state),
      element('code', {}, text === '{}' ? '' : text),
    ),
    update: () => {},
  };
}
