import { describe, expect, it } from 'vitest';
import { escapeHidden } from '~/server/core/hidden-characters';

describe('characters that nobody sees', () => {
  it.each([
    ['a control', 'a\u0007b', 'a\\u0007b'],
    ['a line separator', 'a\u2028b', 'a\\u2028b'],
    ['a mark of direction', 'a\u202eb', 'a\\u202eb'],
    ['a mark without a width', 'a\u200bb', 'a\\u200bb'],
    ['a byte order mark', '\ufeffa', '\\ufeffa'],
    ['a soft hyphen', 'a\u00adb', 'a\\u00adb'],
    ['a joiner of graphemes', 'a\u034fb', 'a\\u034fb'],
    ['a filler', 'a\u3164b', 'a\\u3164b'],
    ['a variation selector', 'a\ufe0fb', 'a\\ufe0fb'],
    ['a tag, both halves', 'a\u{e0062}b', 'a\\udb40\\udc62b'],
    ['half of a pair', 'a\ud83db', 'a\\ud83db'],
  ])('%s is written out', (_, text, shown) => expect(escapeHidden(text)).toBe(shown));

  it.each(['größe 日本語', '💾 \u26a0\ufe0f e\u0301', ' \u00a0'])('%s stays', (text) =>
    expect(escapeHidden(text)).toBe(text),
  );

  it('what is written out in JSON keeps its meaning', () => {
    const text = 'a\u{e0062}\u00ad\ufeff';
    expect(JSON.parse(escapeHidden(JSON.stringify(text)))).toBe(text);
  });
});
