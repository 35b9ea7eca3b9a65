import { durationText } from '../../../cli/output/units';
import type { OperationReply } from '../../../server/http/schemas/operations';
import { element, keyedList, type Row, setAttribute, setText, show } from '../dom';
import { clockTime, runningFor } from '../format';
import type { Journals } from '../journals';
import type { Live } from '../live';
import { stepsOf } from '../steps';
import { operationButtons } from './operation-buttons';
import { operationFacts } from './operation-facts';
import { operationPill, operationTitle } from './parts';
import { timeline } from './timeline';
import { type Context, waitText } from './words';

/** Operations, one line each; an open one shows its steps. */
export function historyList(
  parent: HTMLElement,
  live: Live,
  journals: Journals,
  context: Context,
): (operations: readonly OperationReply[]) => void {
  return keyedList<OperationReply>(
    parent,
    ({ id }) => id,
    (operation) => row(operation.id, live, journals, context),
  );
}

function row(operationId: string, live: Live, journals: Journals, context: Context): Row<OperationReply> {
  const status = operationPill();
  const title = operationTitle(context, 'summary');
  const when = element('span', { class: 'quiet when' });
  const took = element('span', { class: 'elapsed' });
  const error = element('span', { class: 'reason bad-text' });
  const body = element('div', { class: 'details-body' });
  const steps = timeline();
  const buttons = operationButtons(live);
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
    buttons.element,
    body,
  );
  details.addEventListener('toggle', () => {
    if (details.open) void journals.need(operationId);
  });
  let shownVersion = '';
  return {
    element: element('li', { class: 'history-row', 'data-operation': operationId }, details),
    update(operation) {
      setAttribute(this.element, 'data-status', operation.status);
      status.update(operation);
      title.update(operation);
      setText(when, clockTime(operation.created_at));
      setText(took, timeOf(operation, live.nowMs()));
      setText(error, errorText(operation));
      show(error, error.textContent !== '');
      if (!details.open) return;
      steps.update(stepsOf(operation, journals.of(operation.id)), live.nowMs());
      buttons.update(operation);
      if (shownVersion === operation.updated_at) return;
      shownVersion = operation.updated_at;
      body.replaceChildren(operationFacts(operation));
    },
  };
}

function errorText(operation: OperationReply): string {
  const { error_code, error } = operation;
  return [error_code, error, waitText(operation, clockTime)].filter(Boolean).join(': ');
}

function timeOf({ created_at, completed_at }: OperationReply, nowMs: number): string {
  const begin = Date.parse(created_at);
  return completed_at === undefined
    ? runningFor(nowMs - begin)
    : durationText(Date.parse(completed_at) - begin);
}
