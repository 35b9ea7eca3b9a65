import type { OperationReply } from '../../../server/http/schemas/operations';
import { byId, element, type Row, setAttribute, setText, show, showCount } from '../dom';
import { foldedList } from '../fold';
import { clockTime, runningFor } from '../format';
import { showStale } from '../stale';
import { isCurrent } from '../state';
import { stepsOf } from '../steps';
import type { Store } from '../store';
import { contextOf } from './context';
import { operationButtons } from './operation-buttons';
import { operationPill, operationTitle } from './parts';
import { timeline } from './timeline';
import { waitText } from './words';

/** Running and waiting operations with their steps as they happen: held and held-up ones first. */
export function operationsView(store: Store): () => void {
  const update = foldedList<OperationReply>(
    byId('active-list'),
    ({ id }) => id,
    () => card(store),
  );
  return () => {
    const { active } = store.state;
    const part = store.live.part('operations');
    update([...active].sort((a, b) => urgency(a) - urgency(b)));
    const counted = store.live.health?.details;
    const all = counted ? counted.active_operations + counted.pending_operations : 0;
    showCount('active', active.length === 0 ? 0 : Math.max(all, active.length), isCurrent(part));
    showStale('active', part);
  };
}

function urgency({ held, wait_reason, status }: OperationReply): number {
  if (held !== undefined) return 0;
  if (wait_reason !== undefined) return 1;
  return status === 'executing' ? 2 : 3;
}

function card(store: Store): Row<OperationReply> {
  const title = operationTitle(contextOf(store), 'link');
  const status = operationPill();
  const since = element('span', { class: 'elapsed' });
  const reason = element('p', { class: 'reason warn-text' });
  const steps = timeline();
  const buttons = operationButtons(store.live);
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
      buttons.element,
    ),
    update(operation) {
      const now = store.live.nowMs();
      setAttribute(this.element, 'data-operation', operation.id);
      setAttribute(this.element, 'title', `operation ${operation.id}`);
      title.update(operation);
      status.update(operation);
      setText(since, runningFor(now - Date.parse(operation.created_at)));
      setText(reason, waitText(operation, clockTime));
      show(reason, reason.textContent !== '');
      show(steps.element, operation.status === 'executing');
      if (operation.status === 'executing')
        steps.update(stepsOf(operation, store.journals.of(operation.id)), now);
      buttons.update(operation);
    },
  };
}
