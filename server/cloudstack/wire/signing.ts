import { createHmac } from 'node:crypto';

export type Parameters = Readonly<Record<string, string>>;

/**
 * Signs a request the way the server checks it: raw names sorted and never encoded, values encoded as Java's
 * URLEncoder does with `+` turned into `%20`, everything lower-cased, HMAC-SHA1, base64.
 */
export function signature(parameters: Parameters, secretKey: string): string {
  return signed(encodedValues(parameters), secretKey);
}

function signed(values: readonly EncodedValue[], secretKey: string): string {
  const text = [...values]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
    .toLowerCase();
  return createHmac('sha1', secretKey).update(text).digest('base64');
}

/** A raw name, and its value as it goes into the form and into the text that is signed. */
type EncodedValue = readonly [name: string, value: string];

function encodedValues(parameters: Parameters): EncodedValue[] {
  return Object.entries(parameters).map(([name, value]) => [name, encode(value)]);
}

const PLAIN = /^[\w.*-]*$/;
/** What encodeURIComponent leaves and Java's URLEncoder does not. */
const LEFT = /[!'()~]/g;

/** As Java's URLEncoder, which leaves `* - . _`, with spaces as `%20`. */
function encode(value: string): string {
  if (PLAIN.test(value)) return value;
  // By way of bytes: half of a pair, which encodeURIComponent refuses, becomes a replacement character.
  return encodeURIComponent(Buffer.from(value).toString()).replace(
    LEFT,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/**
 * The body of a signed request: all names lower case, JSON answers, signature version 3, which CloudStack
 * accepts until `expiresMs` by its own clock and never afterwards.
 */
export function signedForm(
  command: string,
  parameters: Parameters,
  credentials: { readonly apiKey: string; readonly secretKey: string },
  expiresMs: number,
): string {
  const expires = new Date(expiresMs).toISOString().replace(/\.\d{3}Z$/, '+0000');
  const values = encodedValues({
    ...parameters,
    command,
    response: 'json',
    apikey: credentials.apiKey,
    signatureversion: '3',
    expires,
  });
  const form = values.map(([name, value]) => `${encode(name)}=${value}`);
  return `${form.join('&')}&signature=${encode(signed(values, credentials.secretKey))}`;
}
