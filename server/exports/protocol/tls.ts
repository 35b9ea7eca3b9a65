import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { readIfThere } from '../../core/durable-files';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { TlsMode } from '../export-choices';

/** In NBD_TLS_DIR: `name:hexadecimal key` lines, as psktool writes them. */
const PSK_FILE = 'keys.psk';
const CA_FILE = 'ca-cert.pem';
const SERVER_FILE = 'server-cert.pem';
const CLIENT_FILE = 'client-cert.pem';

/**
 * What our own handshake needs to speak TLS, from the folder that the server reads too
 * (docs/reference/exports.md). Read anew each time, so that renewed keys count at once. The name in the
 * certificate is not compared: we connect to an address of this machine. Throws an Error that names the file;
 * never its content.
 */
export async function readTlsClient(folder: string): Promise<ConnectionOptions> {
  const psk = await readIfThere(join(folder, PSK_FILE));
  if (psk !== null) return preSharedKey(psk, join(folder, PSK_FILE));
  const ca = await readIfThere(join(folder, CA_FILE));
  if (ca === null) throw new Error(`${folder} has neither ${PSK_FILE} nor ${CA_FILE}`);
  const [cert, key] = await Promise.all(
    [CLIENT_FILE, 'client-key.pem'].map((name) => readIfThere(join(folder, name))),
  );
  return {
    ca,
    ...(cert && key ? { cert, key } : {}),
    checkServerIdentity: () => undefined,
  };
}

function preSharedKey(content: string, path: string): ConnectionOptions {
  const [identity, hex] = content.split('\n', 1)[0]?.trim().split(':') ?? [];
  if (!identity || !hex || !/^([0-9a-f]{2})+$/i.test(hex))
    throw new Error(`${path} does not begin with a line "name:hexadecimal key"`);
  return {
    pskCallback: () => ({ psk: Buffer.from(hex, 'hex'), identity }),
    // Node speaks pre-shared keys up to TLS 1.2; its default ciphers do not include them.
    ciphers: 'PSK:!NULL',
    maxVersion: 'TLSv1.2',
    checkServerIdentity: () => undefined,
  };
}

/**
 * The server's options of nbdkit for the same folder: pre-shared keys where there are some, else
 * certificates. Throws an Error that names the file.
 */
export async function tlsArguments(mode: TlsMode, folder: string): Promise<string[]> {
  if (mode === 'off') return ['--tls=off'];
  const psk = await readIfThere(join(folder, PSK_FILE)).catch((error: unknown) => {
    throw new Error(`${join(folder, PSK_FILE)} cannot be read: ${messageOf(error)}`);
  });
  if (psk !== null) return [`--tls=${mode}`, `--tls-psk=${join(folder, PSK_FILE)}`];
  const mutual = (await readIfThere(join(folder, CLIENT_FILE))) !== null;
  return [`--tls=${mode}`, `--tls-certificates=${folder}`, ...(mutual ? ['--tls-verify-peer'] : [])];
}

/**
 * The certificates of the folder that keep clients out now, or will soon, in words; of pre-shared keys none.
 * Never throws. `now`: wall clock ms.
 */
export async function certificateTroubles(folder: string, now: number): Promise<string[]> {
  const read = async (name: string) => {
    const pem = await readIfThere(join(folder, name));
    return pem === null ? [] : troublesOf(name, pem, now);
  };
  try {
    if ((await readIfThere(join(folder, PSK_FILE))) !== null) return [];
    return (await Promise.all([CA_FILE, SERVER_FILE, CLIENT_FILE].map(read))).flat();
  } catch (error) {
    return [`the certificates cannot be read: ${messageOf(error)}`];
  }
}

function troublesOf(name: string, pem: string, now: number): string[] {
  // A server's own comes first, before those that vouch for it. Of several authorities, of which
  // one takes over from another, one that is valid will do.
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const judged = (name === CA_FILE ? blocks : blocks.slice(0, 1)).map((block) => validity(block, now));
  return judged.length > 0 && !judged.includes(null) ? [`${name} ${judged.at(-1) ?? ''}`] : [];
}

/** What is wrong with the time of a certificate, or will be soon; null: nothing. */
function validity(pem: string, now: number): string | null {
  const { validFrom, validTo } = new X509Certificate(pem);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  if (now < from) return `is not valid before ${new Date(from).toISOString()} by the clock of this machine`;
  if (now >= to) return `has expired at ${new Date(to).toISOString()}`;
  // Whoever renews certificates of a few days every few days is not too late.
  const isSoon = to - now < Math.min(LIMITS.CERTIFICATE_WARN_MS, (to - from) / 10);
  return isSoon ? `expires at ${new Date(to).toISOString()}` : null;
}
