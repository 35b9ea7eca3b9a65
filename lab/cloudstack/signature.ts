import { createHmac, timingSafeEqual } from 'node:crypto';
import { ApiError } from './records';

const REFUSED = () => new ApiError(401, 'unable to verify user credentials and/or request signature', null);

/**
 * The check of the server, written a second time on purpose: what signs and what checks must not share a mistake. Java's URLEncoder
 * leaves `A-Z a-z 0-9 . - * _`; the server turns its `+` into `%20`, lower-cases all, and compares in constant time.
 */
export function checkSignature(
  params: readonly (readonly [string, string])[],
  credentials: { apiKey: string; secretKey: string },
  now: number,
): void {
  const get = (name: string) => params.find(([key]) => key.toLowerCase() === name)?.[1];
  const given = get('signature');
  if (given === undefined || get('apikey') !== credentials.apiKey) throw REFUSED();
  if (get('signatureversion') === '3') {
    const expires = Date.parse((get('expires') ?? '').replace(/([+-]\d\d)(\d\d)$/, '$1:$2'));
    if (Number.isNaN(expires) || expires < now) throw REFUSED();
  }
  const text = params
    .filter(([key]) => key.toLowerCase() !== 'signature')
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, value]) => `${key}=${javaEncode(value)}`)
    .join('&')
    .toLowerCase();
  const expected = createHmac('sha1', credentials.secretKey).update(text).digest();
  const received = Buffer.from(given, 'base64');
  if (received.length !== expected.length || !timingSafeEqual(received, expected)) throw REFUSED();
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
