import type { OperationReply } from '../../../server/http/schemas/operations';
import { change, operationPath } from '../api';
import { shortId } from '../format';
import { STATUS_WORDS, TYPE_WORDS } from '../views/words';
import type { Act, KeyOf, Outcome } from './act';

type Named = Pick<OperationReply, 'id' | 'type'>;

function called({ id, type }: Named): string {
  return `${TYPE_WORDS[type].toLowerCase()} ${shortId(id)}`;
}

function cancelAct(operation: Named): Act {
  return {
    title: `Cancel: ${called(operation)}`,
    verb: 'Cancel the operation',
    role: 'operate',
    consequences: [
      'An operation that waits is cancelled at once. One that runs ends at its next step, as long as CloudStack has not been asked for anything yet.',
    ],
    send: (_, keyOf) => ask(operation, 'cancel', keyOf),
  };
}

function retryAct(operation: Named): Act {
  return {
    title: `Retry: ${called(operation)}`,
    verb: 'Run it again',
    role: 'admin',
    consequences: [
      'The operation goes on from where it was. What CloudStack has been asked for already is asked about first, and is not done twice.',
      'When its row is still not understood it is held again.',
    ],
    send: (_, keyOf) => ask(operation, 'retry', keyOf),
  };
}

function abandonAct(operation: Named): Act {
  return {
    title: `Abandon: ${called(operation)}`,
    verb: 'Abandon',
    role: 'admin',
    consequences: [
      'The operation ends as failed. Nothing is undone: what it has left in CloudStack or in this guest stays, and its error says what that may be.',
      'Later operations on the volume may run again.',
    ],
    mustType: () => shortId(operation.id),
    send: (_, keyOf) => ask(operation, 'abandon', keyOf),
  };
}

async function ask({ id }: Named, what: 'cancel' | 'retry' | 'abandon', keyOf: KeyOf): Promise<Outcome> {
  const now = await change<OperationReply>('POST', `${operationPath(id)}/${what}`, {}, keyOf(what));
  const asked = what === 'cancel' && now.status === 'executing';
  return {
    text: asked
      ? 'It has been told to stop, and is still running.'
      : `It is ${STATUS_WORDS[now.status]} now.`,
    operations: [{ id, text: `Operation ${id}` }],
  };
}

/** What can be done about an operation, in the order in which it is offered. */
export function actsOf(operation: OperationReply): readonly { readonly label: string; readonly act: Act }[] {
  const { status, held } = operation;
  if (status === 'executing' && held !== undefined)
    return [
      { label: 'Retry…', act: retryAct(operation) },
      { label: 'Abandon…', act: abandonAct(operation) },
    ];
  if (status === 'pending' || (status === 'executing' && !operation.cancel_requested))
    return [{ label: 'Cancel…', act: cancelAct(operation) }];
  return [];
}
