import type { Operation } from '../../model/operation';

/**
 * Splits off one page and makes the link to the next: the same query with the sequence of the last item as
 * cursor. `found` has one item more than the page if there is a next page.
 */
export function pageOf(
  path: string,
  found: readonly Operation[],
  limit: number,
): { items: Operation[]; next: string | null } {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  if (!last || found.length <= limit) return { items, next: null };
  const [pathname = '', search = ''] = path.split('?');
  const query = new URLSearchParams(search);
  query.set('cursor', String(last.sequence));
  return { items, next: `${pathname}?${query}` };
}
