import { isIP } from 'node:net';

/**
 * Is it an IPv6 address of one link without the interface, as in `fe80::1%eth0`? Nobody can connect to it.
 */
export function lacksZone(host: string): boolean {
  return isIP(host) === 6 && /^fe[89ab]/i.test(host) && !host.includes('%');
}
