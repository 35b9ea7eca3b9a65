/** Parsers of single values. Each returns the value or throws an Error whose message says what was expected. */
export type Parse<T> = (text: string) => T;

export function oneOf<const T extends string>(...allowed: readonly T[]): Parse<T> {
  return (text) => {
    const found = allowed.find((value) => value === text.trim().toLowerCase());
    if (found === undefined) throw new Error(`"${text}" is not one of ${allowed.join(', ')}`);
    return found;
  };
}

/** Milliseconds from `2s`, `500ms`, `1m`, `1h`, or plain milliseconds. */
export function duration(min: number, max: number): Parse<number> {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(text.trim());
    if (!match) throw new Error(`"${text}" is not a duration such as 2s, 500ms or 1m`);
    const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 'ms'] ?? 1;
    return within(Math.round(Number(match[1]) * unit), min, max, 'ms', text);
  };
}

/** Bytes from `3GiB`, `512MiB`, or plain bytes. */
export function bytes(min: number, max: number): Parse<number> {
  return (text) => {
    const match = /^(\d+)\s*(KiB|MiB|GiB|TiB|B)?$/i.exec(text.trim());
    if (!match) throw new Error(`"${text}" is not a size such as 3GiB`);
    const unit = { b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4 }[(match[2] ?? 'B').toLowerCase()] ?? 1;
    return within(Number(match[1]) * unit, min, max, 'bytes', text);
  };
}

export function integer(min: number, max: number): Parse<number> {
  return (text) => {
    if (!/^\d+$/.test(text.trim())) throw new Error(`"${text}" is not a whole number`);
    return within(Number(text), min, max, '', text);
  };
}

export const flag: Parse<boolean> = (text) => ['true', '1', 'yes', 'on'].includes(oneOf('true', 'false', '1', '0', 'yes', 'no', 'on', 'off')(text));

export const uuid: Parse<string> = (text) => {
  const value = text.trim().toLowerCase();
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)) throw new Error(`"${text}" is not a UUID`);
  return value;
};

export const path: Parse<string> = (text) => {
  if (!text.startsWith('/') || /[\u0000-\u001f]/.test(text)) throw new Error(`"${text}" is not an absolute path`);
  return text.length > 1 ? text.replace(/\/+$/, '') : text;
};

/** systemd gives several folders separated by colons; the first is ours. */
export const firstPath: Parse<string> = (text) => path(text.split(':')[0] ?? '');

export const word: Parse<string> = (text) => {
  if (!/^[A-Za-z0-9@._:-]{1,128}$/.test(text)) throw new Error(`"${text}" may hold letters, digits and @._:- only`);
  return text;
};

export const words: Parse<string[]> = (text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => word(item).toLowerCase());

export const key32: Parse<Buffer> = (text) => {
  const buffer = Buffer.from(text.trim(), 'base64');
  if (buffer.length !== 32) throw new Error('must be base64 of exactly 32 bytes');
  return buffer;
};

function within(value: number, min: number, max: number, unit: string, text: string): number {
  if (value < min || value > max) throw new Error(`"${text}" is not between ${min} and ${max} ${unit}`.trimEnd());
  return value;
}
