import { escapeHidden } from '~/server/core/hidden-characters';

export type Tone = 'plain' | 'bold' | 'dim' | 'good' | 'warn' | 'bad' | 'busy';

const CODES: Readonly<Record<Exclude<Tone, 'plain'>, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  good: [32, 39],
  warn: [33, 39],
  bad: [31, 39],
  busy: [34, 39],
};

export function paint(tone: Tone, text: string, color: boolean): string {
  if (!color || tone === 'plain' || text === '') return text;
  const [on, off] = CODES[tone];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

/** Whether to colour a stream. --color and --no-color override NO_COLOR (https://no-color.org). */
export function wantsColor(stream: NodeJS.WriteStream, asked: boolean | undefined): boolean {
  if (asked !== undefined) return asked;
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

/** Escapes control characters: names come from other people and must not send commands to the terminal. */
export function visible(text: string): string {
  return escapeHidden(text);
}

/** `2026-08-19T20:30:00.123Z` → `2026-08-19 20:30:00Z`. */
export function timeText(time: string): string {
  return time.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}

/** Breaks a text between words, and words that are longer than a line. */
export function wrap(text: string, width: number): string[] {
  const result: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap((one) => pieces(one, width))) {
    if (line !== '' && line.length + word.length + 1 > width) {
      result.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...result, line];
}

function pieces(word: string, width: number): string[] {
  if (word.length <= width) return [word];
  return Array.from({ length: Math.ceil(word.length / width) }, (_, index) =>
    word.slice(index * width, (index + 1) * width),
  );
}
