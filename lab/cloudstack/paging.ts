import { ApiError } from './records';
import { badValue, refused } from './texts';

export type Params = ReadonlyMap<string, string>;

/** `default.page.size` */
const PAGE_CAP = 500;

/**
 * A list as the server answers it: an empty list is `{}`, a page past the end a count without an array. `page` and `pagesize` go
 * together; `pagesize=-1` alone is everything; without either it is the first 500. Throws 431.
 */
export function page(command: string, params: Params, key: string, items: readonly unknown[]): unknown {
  const size = whole(command, params, 'pagesize');
  const number = whole(command, params, 'page');
  if (size !== null && size > PAGE_CAP)
    throw refused(`Page size can't exceed max allowed page size value: ${PAGE_CAP}`);
  if (number === null && size !== null && size !== -1)
    throw new ApiError(431, '"page" parameter is required when "pagesize" is specified');
  if (number !== null && (size === null || size < 1 || number < 1))
    throw new ApiError(431, '"pagesize" parameter is required when "page" is specified');
  if (items.length === 0) return {};
  const limit = size === null ? PAGE_CAP : size === -1 ? items.length : size;
  const start = ((number ?? 1) - 1) * limit;
  const slice = items.slice(start, start + limit);
  return slice.length === 0 ? { count: items.length } : { count: items.length, [key]: slice };
}

/** A parameter of type long; null when it was not sent. Throws 431. */
export function whole(command: string, params: Params, name: string): number | null {
  const value = params.get(name);
  if (value === undefined || value === '') return null;
  if (!/^-?\d{1,18}$/.test(value)) throw badValue(command, name, value);
  return Number(value);
}
