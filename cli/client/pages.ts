import type { RequestOptions } from './client';

/**
 * All pages of a list, following the Link headers. `read` asks for one page.
 *
 * ```ts
 * await allPages((cursor, options) => client.call('listOperations', { query: { cursor } }, options));
 * ```
 */
export async function allPages<T>(
  read: (cursor: string | undefined, options: Pick<RequestOptions, 'onHeaders'>) => Promise<readonly T[]>,
): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  do {
    let link = '';
    const page = await read(cursor, {
      onHeaders: (headers) => {
        link = String(headers.link ?? '');
      },
    });
    all.push(...page);
    cursor = /[?&]cursor=([\w-]+)[^>]*>\s*;\s*rel="next"/.exec(link)?.[1];
  } while (cursor !== undefined);
  return all;
}
