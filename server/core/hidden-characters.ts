/**
 * What nobody sees in a text, and what changes how the rest of it is shown: controls, line separators, marks
 * of direction and marks without a width (with soft hyphens, fillers, variation selectors and tags), halves
 * of pairs. With one of them two names look like one, or a name sends commands to a terminal. What makes a
 * pictograph a coloured one (U+FE0F) is seen.
 */
const HIDDEN =
  /(?!(?<=\p{Extended_Pictographic})\ufe0f)[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * Writes them out. `written` is given the code of each UTF-16 unit.
 *
 * @example
 * escapeHidden('data\u202e'); // 'data\\u202e'
 */
export function escapeHidden(text: string, written = (unit: number) => `\\u${hexOf(unit, 4)}`): string {
  return text.replace(HIDDEN, (character) =>
    Array.from({ length: character.length }, (_, index) => written(character.charCodeAt(index))).join(''),
  );
}

export function hexOf(unit: number, digits: number): string {
  return unit.toString(16).padStart(digits, '0');
}
