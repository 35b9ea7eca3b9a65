import { escapeHidden } from '../../server/core/hidden-characters';

/**
 * Every element of the page is created here, with attributes from code and all text as text nodes: no data
 * is ever parsed as HTML. (The content security policy also requires trusted types, and the page creates
 * none.)
 */
export type Child = Node | string;

type Attributes = Readonly<Record<string, string | boolean>>;

/**
 * As volumectl writes it: names come from other people. One with U+202E in it turns around what the page says
 * behind it (`vdb` becomes `bdv`) and shows itself as another name; one with U+200B looks like another one.
 */
export function visible(text: string): string {
  return escapeHidden(text);
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children.map((child) => (typeof child === 'string' ? visible(child) : child)));
  return made;
}

/** True sets an empty attribute, false removes it. An unchanged attribute is not written again. */
export function setAttribute(target: Element, name: string, value: string | boolean): void {
  const wanted = value === true ? '' : value;
  if (wanted === false) target.removeAttribute(name);
  else if (target.getAttribute(name) !== wanted) target.setAttribute(name, wanted);
}

/** Does not write an unchanged text again: that would disturb selections and screen readers. */
export function setText(target: Element, text: string): void {
  const shown = visible(text);
  if (target.textContent !== shown) target.textContent = shown;
}

export function show(target: HTMLElement, visible: boolean): void {
  if (target.hidden === visible) target.hidden = !visible;
}

/** The element with this id in the page as served. A missing one, or one of another type, is a bug. */
export function byId(id: string): HTMLElement;
export function byId<T extends HTMLElement>(id: string, type: new () => T): T;
export function byId(id: string, type = HTMLElement): HTMLElement {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/**
 * The count beside the heading of a list, and the sentence that replaces a list that is known to be empty.
 */
export function showCount(name: string, count: number, known: boolean): void {
  show(byId(`${name}-empty`), count === 0 && known);
  setText(byId(`${name}-count`), count === 0 ? '' : String(count));
}

export interface Row<T> {
  readonly element: HTMLElement;
  update(item: T): void;
}

/**
 * Renders a list with one element per key. Elements are kept across updates and moved only when their place
 * changes, so that focus, selection and open details survive.
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
