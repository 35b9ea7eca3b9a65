import type { Operation } from '../../model/operation';

/**
 * Cuts a list to its page and says where the next one is: the same query with the cursor (sequence of the last entry shown).
 * `found` holds up to one entry more than the page.
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
