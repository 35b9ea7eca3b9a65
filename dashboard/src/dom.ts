/**
 * The only way this page makes elements: attributes from code, and every text as a text node. Nothing that comes from outside
 * is ever parsed as HTML (the page's policy also demands trusted types, of which we make none).
 */
export type Child = Node | string;

type Attributes = Readonly<Record<string, string | boolean>>;

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children);
  return made;
}

/** True sets an empty attribute, false removes it. An unchanged one is not touched. */
export function setAttribute(target: Element, name: string, value: string | boolean): void {
  const wanted = value === true ? '' : value;
  if (wanted === false) target.removeAttribute(name);
  else if (target.getAttribute(name) !== wanted) target.setAttribute(name, wanted);
}

/** Leaves an unchanged text alone, so that a selection, and a screen reader, are not disturbed. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

export function show(target: HTMLElement, visible: boolean): void {
  if (target.hidden === visible) target.hidden = !visible;
}

/** The element of this id in the page as served; a missing one is a mistake of ours. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

export interface Row<T> {
  readonly element: HTMLElement;
  update(item: T): void;
}

/**
 * Shows a list: one element per key, kept over updates, so that focus, selection and opened details stay where they are. Elements
 * already in their place are not moved.
 */
export function keyedList<T>(
  parent: HTMLElement,
  key: (item: T) => string,
  create: (item: T) => Row<T>,
): (items: readonly T[]) => void {
  const rows = new Map<string, Row<T>>();
  return (items) => {
    const wanted = new Set(items.map(key));
    for (const [id, row] of rows) {
      if (wanted.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    let place = parent.firstElementChild;
    for (const item of items) {
      const id = key(item);
      const row = rows.get(id) ?? create(item);
      rows.set(id, row);
      row.update(item);
      if (row.element === place) place = place.nextElementSibling;
      else parent.insertBefore(row.element, place);
    }
  };
}
