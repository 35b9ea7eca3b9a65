import { stateTone } from '../../../cli/output/state-tone';
import type { OperationReply } from '../../../server/http/schemas/operations';
import { type Child, element, setAttribute, setText } from '../dom';
import { type Context, STATUS_WORDS, subject, TYPE_WORDS, target } from './words';

/**
 * What an operation does to which volume: `Attach disk-1 to VM 1a2b3c4d`. A link to its page, unless it
 * stands in a summary, which is a control itself.
 */
export function operationTitle(
  context: Context,
  place: 'link' | 'summary',
): {
  readonly children: readonly Child[];
  update(operation: OperationReply): void;
} {
  const type = element('span', { class: 'verb' });
  const name = element('span', { class: 'subject' });
  const where = element('span', { class: 'quiet' });
  const link = place === 'link' ? element('a', { class: 'title-link' }, type, ' ', name) : null;
  return {
    children: [...(link ? [link] : [type, ' ', name]), ' ', where],
    update(operation) {
      setText(type, TYPE_WORDS[operation.type]);
      setText(name, subject(context, operation));
      setAttribute(name, 'title', operation.volume_id);
      setText(where, target(context, operation));
      if (link) setAttribute(link, 'href', operationAddress(operation.id));
    },
  };
}

/** The status of an operation as a label: what is held or waits is not said to run. */
export function operationPill(): { element: HTMLElement; update(operation: OperationReply): void } {
  const made = pill();
  return {
    element: made.element,
    update({ status, wait_reason, held }) {
      if (status === 'executing' && held !== undefined) made.update('failed', 'held');
      else if (wait_reason !== undefined) made.update('waiting', 'held up');
      else made.update(status, STATUS_WORDS[status]);
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
export function facts(pairs: readonly (readonly [string, Child | null | undefined])[]): HTMLElement {
  const list = element('dl', { class: 'facts' });
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === '') continue;
    const length = typeof value === 'string' ? value.length : 0;
    list.append(
      element(
        'div',
        { class: length > WIDE_CHARACTERS ? 'wide' : '' },
        element('dt', {}, name),
        element('dd', {}, value),
      ),
    );
  }
  return list;
}

export function operationAddress(id: string): string {
  return `/operations/${encodeURIComponent(id)}`;
}

export function volumeLink(id: string, ...children: Child[]): HTMLAnchorElement {
  return element('a', { href: `/volumes/${encodeURIComponent(id)}` }, ...children);
}
