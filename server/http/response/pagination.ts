import type { Operation } from '../../model/operation';

/**
 * Splits off one page, with the Link to the next: the sequence of the last item is its cursor. `found` has
 * one item more than the page if there is a next page.
 */
export function pageOf(
  path: string,
  found: readonly Operation[],
  limit: number,
): { items: Operation[]; next: string | null } {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return { items, next: last && found.length > limit ? linkToNext(path, last.sequence) : null };
}

/** The value of a Link header: the same query with this cursor. */
export function linkToNext(path: string, cursor: string | number): string {
  const [pathname = '', search = ''] = path.split('?');
  const query = new URLSearchParams(search);
  query.set('cursor', String(cursor));
  return `<${pathname}?${query}>; rel="next"`;
}
