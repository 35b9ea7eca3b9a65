import { durationText } from '../../../cli/output/units';
import type { OperationReply } from '../../../server/http/schemas/operations';
import { byId, element, keyedList, type Row, setAttribute, setText, show } from '../dom';
import { clockTime, runningFor } from '../format';
import { showStale } from '../stale';
import { isCurrent } from '../state';
import { stepsOf } from '../steps';
import { HISTORY_PAGE, type Store } from '../store';
import { facts, operationTitle, pill } from './parts';
import { timeline } from './timeline';
import { STATUS_WORDS, subject } from './words';

/** Every operation, newest first; an open one shows its steps. */
export function historyView(store: Store): () => void {
  const update = keyedList<OperationReply>(
    byId('history-list'),
    ({ id }) => id,
    (operation) => row(store, operation.id),
  );
  bindFilter(store);
  const more = byId('history-more');
  more.addEventListener('click', () => store.showMore());
  return () => {
    const { history, hasMore, parts, filter } = store.state;
    const shown = history.filter((operation) => matches(store, operation, filter.text));
    update(shown);
    show(byId('history-empty'), shown.length === 0 && isCurrent(parts.operations));
    showStale('history', parts.operations);
    show(more, hasMore);
  };
}

function bindFilter(store: Store): void {
  const form = byId('history-filter', HTMLFormElement);
  const read = (): void => {
    const data = new FormData(form);
    const word = (name: string): string => String(data.get(name) ?? '');
    store.filter({ type: word('type'), status: word('status'), text: word('text'), limit: HISTORY_PAGE });
  };
  form.addEventListener('input', read);
  form.addEventListener('submit', (event) => event.preventDefault());
}

/** Searches what names the operation. The server also searches for a complete volume id (Store). */
function matches(store: Store, operation: OperationReply, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return true;
  const { id, volume_id, vm_id = '', error = '', error_code = '' } = operation;
  return [id, volume_id, vm_id, error, error_code, subject(store, operation)].some((field) =>
    field.toLowerCase().includes(wanted),
  );
}

function row(store: Store, operationId: string): Row<OperationReply> {
  const status = pill();
  const title = operationTitle(store);
  const when = element('span', { class: 'quiet when' });
  const took = element('span', { class: 'elapsed' });
  const error = element('span', { class: 'reason bad-text' });
  const body = element('div', { class: 'details-body' });
  const steps = timeline();
  const details = element(
    'details',
    {},
    element(
      'summary',
      {},
      status.element,
      element('span', { class: 'what' }, ...title.children),
      when,
      took,
      error,
    ),
    steps.element,
    body,
  );
  details.addEventListener('toggle', () => {
    if (details.open) void store.needJournal(operationId);
  });
  let shownVersion = '';
  return {
    element: element('li', { class: 'history-row', 'data-operation': operationId }, details),
    update(operation) {
      setAttribute(this.element, 'data-status', operation.status);
      status.update(operation.status, STATUS_WORDS[operation.status]);
      title.update(operation);
      setText(when, clockTime(operation.created_at));
      setText(took, timeOf(operation));
      setText(error, [operation.error_code, operation.error, operation.held].filter(Boolean).join(': '));
      show(error, error.textContent !== '');
      if (!details.open) return;
      steps.update(stepsOf(operation, store.journalOf(operation.id)), Date.now());
      if (shownVersion === operation.updated_at) return;
      shownVersion = operation.updated_at;
      body.replaceChildren(
        facts([
          ['Operation', operation.id],
          ['Volume', operation.volume_id],
          ['VM', operation.vm_id],
          ['Accepted', clockTime(operation.created_at)],
          ['Ended', operation.completed_at && clockTime(operation.completed_at)],
          ['Request', JSON.stringify(operation.request)],
          ['Response', operation.response && JSON.stringify(operation.response)],
        ]),
      );
    },
  };
}

function timeOf({ created_at, completed_at }: OperationReply): string {
  const begin = Date.parse(created_at);
  return completed_at === undefined
    ? runningFor(Date.now() - begin)
    : durationText(Date.parse(completed_at) - begin);
}
