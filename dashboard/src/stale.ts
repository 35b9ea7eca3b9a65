import { byId, setText, show } from './dom';
import { type PartState, staleText } from './state';

/** Says above a list that it is old, and marks the list. */
export function showStale(name: string, part: PartState): void {
  showNotice(name, staleText(part));
}

/** A notice above a list whose content is not the state of now. */
export function showNotice(name: string, text: string): void {
  const notice = byId(`${name}-stale`);
  show(notice, text !== '');
  setText(notice, text);
  byId(`${name}-list`).toggleAttribute('data-stale', text !== '');
}
