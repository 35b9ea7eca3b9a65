import { setImmediate as breathe } from 'node:timers/promises';

/** Elements converted before the rest of the daemon gets a turn: a few ms for a row of the database. */
const AT_A_STRETCH = 250;

/**
 * `list.map(convert)` for lists that may have ten thousand elements: whoever else waits for the event loop
 * gets its turn in between. A short list is converted at once.
 *
 * @example
 * const mappings = await mapInTurns(rows, toMapping);
 */
export async function mapInTurns<T, R>(list: readonly T[], convert: (element: T) => R): Promise<R[]> {
  const converted: R[] = [];
  for (const [index, element] of list.entries()) {
    if (index > 0 && index % AT_A_STRETCH === 0) await breathe();
    converted.push(convert(element));
  }
  return converted;
}
