import { LIMITS } from '../../core/limits';

/** A text as the value of a header: one line of printable ASCII. */
export function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, LIMITS.NAME_CHARACTERS);
}
