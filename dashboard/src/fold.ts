import { element, keyedList, type Row, setAttribute, setText, show } from './dom';

/** A list shows so many rows until somebody asks for the others. */
const FOLDED_ROWS = 12;

/**
 * A keyed list of which only the beginning is shown, with a button for the rest: what matters
 * most must come first.
 */
export function foldedList<T>(
  parent: HTMLElement,
  key: (item: T) => string,
  create: (item: T) => Row<T>,
): (items: readonly T[]) => void {
  const update = keyedList(parent, key, create);
  const more = element('button', { type: 'button', 'aria-expanded': 'false', 'aria-controls': parent.id });
  const place = element('p', { class: 'more' }, more);
  parent.after(place);
  let open = false;
  let latest: readonly T[] = [];
  const draw = (): void => {
    const rest = latest.length - FOLDED_ROWS;
    update(open ? latest : latest.slice(0, FOLDED_ROWS));
    setText(more, open ? `Show the first ${FOLDED_ROWS} only` : `Show ${rest} more`);
    setAttribute(more, 'aria-expanded', String(open));
    show(place, rest > 0);
  };
  more.addEventListener('click', () => {
    open = !open;
    draw();
  });
  return (items) => {
    latest = items;
    draw();
  };
}
