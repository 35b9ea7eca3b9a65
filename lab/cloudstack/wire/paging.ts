import { ApiError } from '../records';
import { refused, wrongType } from '../state/texts';

export type Params = ReadonlyMap<string, string>;

/** `default.page.size` */
export const PAGE_CAP = 500;

/**
 * A list as the server answers it: an empty list is `{}`, a page past the end a count without an array.
 * `page` and `pagesize` go together; `pagesize=-1` alone is everything; without either it is the first `cap`.
 * A page 0 is the first one, a size 0 the largest. Throws 431.
 */
export function page(
  command: string,
  params: Params,
  key: string,
  items: readonly unknown[],
  cap: number = PAGE_CAP,
): unknown {
  const size = whole(command, params, 'pagesize');
  const number = whole(command, params, 'page');
  if (size !== null && size > cap)
    throw refused(`Page size can't exceed max allowed page size value: ${cap}`);
  if (number === null && size !== null && size !== -1)
    throw new ApiError(431, '"page" parameter is required when "pagesize" is specified');
  if (number !== null && size === null)
    throw new ApiError(431, '"pagesize" parameter is required when "page" is specified');
  if (number !== null && size === -1)
    throw refused("Can't specify page parameter when pagesize is -1 (Unlimited)");
  if (items.length === 0) return {};
  const limit = size === -1 ? items.length : size || cap;
  const start = (Math.max(1, number ?? 1) - 1) * limit;
  const slice = items.slice(start, start + limit);
  return slice.length === 0 ? { count: items.length } : { count: items.length, [key]: slice };
}

/** A parameter of type long; null when it was not sent. Throws 431. */
export function whole(command: string, params: Params, name: string): number | null {
  const value = params.get(name);
  if (value === undefined || value === '') return null;
  if (!/^-?\d{1,18}$/.test(value)) throw wrongType(command, name, value);
  return Number(value);
}
