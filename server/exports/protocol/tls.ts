import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { readIfThere } from '../../core/durable-files';
import { messageOf } from '../../core/errors';

/** In NBD_TLS_DIR: `name:hexadecimal key` lines, as psktool writes them. */
const PSK_FILE = 'keys.psk';
const CA_FILE = 'ca-cert.pem';

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
    ['client-cert.pem', 'client-key.pem'].map((name) => readIfThere(join(folder, name))),
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
export async function tlsArguments(mode: 'off' | 'on' | 'require', folder: string): Promise<string[]> {
  if (mode === 'off') return ['--tls=off'];
  const psk = await readIfThere(join(folder, PSK_FILE)).catch((error: unknown) => {
    throw new Error(`${join(folder, PSK_FILE)} cannot be read: ${messageOf(error)}`);
  });
  if (psk !== null) return [`--tls=${mode}`, `--tls-psk=${join(folder, PSK_FILE)}`];
  const mutual = (await readIfThere(join(folder, 'client-cert.pem'))) !== null;
  return [`--tls=${mode}`, `--tls-certificates=${folder}`, ...(mutual ? ['--tls-verify-peer'] : [])];
}
