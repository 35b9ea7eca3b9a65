import { isIP } from 'node:net';

/** Only addresses count, not names that look like one: anybody can own `127.example.com`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
