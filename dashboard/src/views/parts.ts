import { element, setAttribute, setText } from '../dom';
import { tone } from './words';

/** A small label in the tone of a status. */
export function pill(): { element: HTMLElement; update(status: string, word?: string): void } {
  const made = element('span', { class: 'pill' });
  return {
    element: made,
    update(status, word = status) {
      setAttribute(made, 'data-tone', tone(status));
      setText(made, word);
    },
  };
}

/** A value longer than an id gets a line of its own. */
const LONG = 40;

/** `<dt>` and `<dd>` pairs; those without a value are left out. */
export function facts(pairs: readonly (readonly [string, string | null | undefined])[]): HTMLElement {
  const list = element('dl', { class: 'facts' });
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === '') continue;
    list.append(
      element(
        'div',
        { class: value.length > LONG ? 'wide' : '' },
        element('dt', {}, name),
        element('dd', {}, value),
      ),
    );
  }
  return list;
}
