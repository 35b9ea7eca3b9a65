import { stateTone } from '../../../cli/output/state-tone';
import type { OperationReply } from '../../../server/http/schemas/operations';
import { type Child, element, setAttribute, setText } from '../dom';
import type { Store } from '../store';
import { subject, TYPE_WORDS, target } from './words';

/** What an operation does to which volume: `Attach disk-1 to VM 1a2b3c4d`. */
export function operationTitle(store: Store): {
  readonly children: readonly Child[];
  update(operation: OperationReply): void;
} {
  const type = element('span', { class: 'verb' });
  const name = element('span', { class: 'subject' });
  const where = element('span', { class: 'quiet' });
  return {
    children: [type, ' ', name, ' ', where],
    update(operation) {
      setText(type, TYPE_WORDS[operation.type]);
      setText(name, subject(store, operation));
      setAttribute(name, 'title', operation.volume_id);
      setText(where, target(store, operation));
    },
  };
}

/** A small label in the tone of a status. */
export function pill(): { element: HTMLElement; update(status: string, word?: string): void } {
  const made = element('span', { class: 'pill' });
  return {
    element: made,
    update(status, word = status) {
      setAttribute(made, 'data-tone', stateTone(status));
      setText(made, word);
    },
  };
}

/** A longer value, unlike an id, gets a line of its own. */
const WIDE_CHARACTERS = 40;

/** `<dt>` and `<dd>` pairs; absent values are omitted. */
export function facts(pairs: readonly (readonly [string, string | null | undefined])[]): HTMLElement {
  const list = element('dl', { class: 'facts' });
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === '') continue;
    list.append(
      element(
        'div',
        { class: value.length > WIDE_CHARACTERS ? 'wide' : '' },
        element('dt', {}, name),
        element('dd', {}, value),
      ),
    );
  }
  return list;
}
