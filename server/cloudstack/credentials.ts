import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const PLAIN_PREFIX = 'TEMP_PLAINTEXT_';

/**
 * A stored api_key or secret_key as the hub writes it: base64 of a 12-byte nonce and AES-256-GCM ciphertext
 * with tag when a key is set. A value that does not decrypt is taken as plain text, because rows from before
 * encryption hold plain keys.
 */
export function readCredential(stored: string, key: Buffer | null): string {
  const value = stored.trim();
  if (value.startsWith(PLAIN_PREFIX)) return value.slice(PLAIN_PREFIX.length);
  if (key === null || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return value;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return value;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    return Buffer.concat([
      decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES)),
      decipher.final(),
    ]).toString('utf8');
  } catch {
    return value;
  }
}

/** What `readCredential` reads back: encrypted when a key is set, else as it is. */
export function storedCredential(value: string, key: Buffer | null): string {
  if (key === null) return value;
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const sealed = Buffer.concat([nonce, cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  return sealed.toString('base64');
}
