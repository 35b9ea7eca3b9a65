/**
 * Which operations are listed, and how far charts reach: kept in the address, so that it can be sent to
 * somebody and survives a reload.
 */
export interface Filter {
  readonly type: string;
  readonly status: string;
  /** A part of an id, name, error or actor; the server searches. */
  readonly find: string;
  readonly limit: number;
}

export const HISTORY_PAGE = 25;
/** The longest list that the server answers with (LIMITS.LIST_MAX). */
export const HISTORY_MAX = 1_000;

const NAMES = ['type', 'status', 'find'] as const;

export function filterOf(search: string): Filter {
  const query = new URLSearchParams(search);
  const word = (name: string): string => query.get(name) ?? '';
  return { type: word('type'), status: word('status'), find: word('find'), limit: HISTORY_PAGE };
}

/** The address of a filter: what is not filtered by is left out, what else is there stays. */
export function searchOf(filter: Filter, search: string): string {
  const query = new URLSearchParams(search);
  for (const name of NAMES) {
    const value = filter[name].trim();
    if (value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}
