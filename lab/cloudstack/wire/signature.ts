import { createHmac, timingSafeEqual } from 'node:crypto';
import { unauthorized } from '../state/texts';

export interface Credentials {
  readonly apiKey: string;
  readonly secretKey: string;
}

/** How far ahead `expires` may be when the server enforces timestamps. */
const EXPIRES_AHEAD = 15 * 60_000;

/**
 * The check of the server, written a second time on purpose: what signs and what checks must not share a
 * mistake. Names are sorted as they were sent and never encoded; values are encoded as Java's URLEncoder
 * does, `+` turned into `%20`; all of it is lower-cased; HMAC-SHA1, base64, compared as text in constant
 * time. Throws the one 401 that stands for every reason.
 */
export function checkSignature(
  params: ReadonlyMap<string, string>,
  credentials: Credentials,
  now: number,
  enforceTimestamps = false,
): void {
  const lower = new Map([...params].map(([name, value]) => [name.toLowerCase(), value]));
  const given = lower.get('signature');
  if (given === undefined || lower.get('apikey') !== credentials.apiKey) throw unauthorized();
  const expected = signatureOf(params, credentials.secretKey);
  if (!sameText(given, expected)) throw unauthorized();
  if (lower.get('signatureversion') !== '3') {
    if (enforceTimestamps) throw unauthorized();
    return;
  }
  const expires = parseExpires(lower.get('expires') ?? '');
  if (expires === null || expires < now) throw unauthorized();
  if (enforceTimestamps && expires > now + EXPIRES_AHEAD) throw unauthorized();
}

/** Base64 of the signature over everything but `signature` itself. */
export function signatureOf(params: ReadonlyMap<string, string>, secretKey: string): string {
  const text = [...params]
    .filter(([name]) => name.toLowerCase() !== 'signature')
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, value]) => `${name}=${javaEncode(value)}`)
    .join('&')
    .toLowerCase();
  return createHmac('sha1', secretKey).update(text, 'utf8').digest('base64');
}

/** ISO offset date-time, `…+0000` or `…Z`, with up to 6 fractional digits; null for anything else. */
export function parseExpires(text: string): number | null {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)(Z|[+-]\d\d:?\d\d)$/.exec(text);
  if (!match) return null;
  const ms = Date.parse(`${match[1]}${match[2]?.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')}`);
  return Number.isNaN(ms) ? null : ms;
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function javaEncode(value: string): string {
  let encoded = '';
  for (const byte of Buffer.from(value, 'utf8')) {
    const character = String.fromCharCode(byte);
    encoded += /[A-Za-z0-9.\-*_]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
