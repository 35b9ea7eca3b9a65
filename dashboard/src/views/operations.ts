import type { OperationReply } from '../../../server/http/schemas/operations';
import { byId, element, keyedList, type Row, setAttribute, setText, show, showCount } from '../dom';
import { clockTime, runningFor } from '../format';
import { showStale } from '../stale';
import { isCurrent } from '../state';
import { stepsOf } from '../steps';
import type { Store } from '../store';
import { operationTitle, pill } from './parts';
import { timeline } from './timeline';
import { STATUS_WORDS } from './words';

/** Running and waiting operations, with their steps as they happen. */
export function operationsView(store: Store): () => void {
  const update = keyedList<OperationReply>(
    byId('active-list'),
    ({ id }) => id,
    () => card(store),
  );
  return () => {
    const { active, parts } = store.state;
    update(active);
    showCount('active', active.length, isCurrent(parts.operations));
    showStale('active', parts.operations);
  };
}

function card(store: Store): Row<OperationReply> {
  const title = operationTitle(store);
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
        element('h3', {}, ...title.children),
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
      title.update(operation);
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
