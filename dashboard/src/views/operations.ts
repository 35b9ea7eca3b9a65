import type { OperationReply } from '../../../server/http/schemas/operations';
import { byId, element, keyedList, type Row, setAttribute, setText, show } from '../dom';
import { clockTime, runningFor } from '../format';
import { stepsOf } from '../steps';
import type { Store } from '../store';
import { pill } from './parts';
import { timeline } from './timeline';
import { STATUS_WORDS, subject, TYPE_WORDS, target } from './words';

/** What runs and what waits, with the steps of each as they happen. */
export function operationsView(store: Store): () => void {
  const update = keyedList<OperationReply>(
    byId('active-list'),
    ({ id }) => id,
    () => card(store),
  );
  return () => {
    const { active, answeredAtMs } = store.state;
    update(active);
    show(byId('active-empty'), active.length === 0 && answeredAtMs > 0);
    setText(byId('active-count'), active.length === 0 ? '' : String(active.length));
  };
}

function card(store: Store): Row<OperationReply> {
  const type = element('span', { class: 'verb' });
  const name = element('span', { class: 'subject' });
  const where = element('span', { class: 'quiet' });
  const status = pill();
  const since = element('span', { class: 'elapsed' });
  const reason = element('p', { class: 'reason warn-text' });
  const steps = timeline();
  return {
    element: element(
      'li',
      { class: 'card operation' },
      element(
        'div',
        { class: 'card-head' },
        element('h3', {}, type, ' ', name, ' ', where),
        element('span', { class: 'head-end' }, since, status.element),
      ),
      reason,
      steps.element,
    ),
    update(operation) {
      const now = Date.now();
      const waits = operation.wait_reason !== undefined;
      setAttribute(this.element, 'data-operation', operation.id);
      setAttribute(this.element, 'title', `operation ${operation.id}`);
      setText(type, TYPE_WORDS[operation.type]);
      setText(name, subject(store, operation));
      setAttribute(name, 'title', operation.volume_id);
      setText(where, target(store, operation));
      status.update(waits ? 'waiting' : operation.status, waits ? 'held up' : STATUS_WORDS[operation.status]);
      setText(since, runningFor(now - Date.parse(operation.created_at)));
      setText(reason, waitText(operation));
      show(reason, waits);
      show(steps.element, operation.status === 'executing');
      if (operation.status === 'executing')
        steps.update(stepsOf(operation, store.journalOf(operation.id)), now);
    },
  };
}

function waitText({ wait_reason, attempt, next_attempt_at }: OperationReply): string {
  const next = next_attempt_at === undefined ? '' : ` Next try at ${clockTime(next_attempt_at)}.`;
  return `${wait_reason ?? ''}${attempt > 0 ? ` (try ${attempt})` : ''}.${next}`.replace(/\.\./g, '.');
}
