import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makePrivateCa, type PrivateCa } from '~/lab/certificates';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { messageOf } from '~/server/core/errors';
import { parseDsn, trusting } from '~/server/database/connection/dsn';
import { faultOf, translate, unavailable } from '~/server/database/connection/faults';
import { openPool } from '~/server/database/connection/pool';

/** A MariaDB that takes TLS only, with a certificate of a CA that nobody knows. */
const dir = mkdtempSync(join(tmpdir(), 'database-tls-'));
let ca: PrivateCa;
let database: Mariadb;

beforeAll(async () => {
  ca = makePrivateCa(dir);
  const { keyFile, certFile } = ca.sign('database.example');
  database = await startMariadb({
    settings: {
      'ssl-ca': ca.file,
      'ssl-cert': certFile,
      'ssl-key': keyFile,
      'require-secure-transport': 'ON',
    },
  });
});
afterAll(async () => {
  await database?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** The version of the server, or what it fails with. */
async function connect(change: (dsn: string) => string, pem: string | null): Promise<string> {
  const pool = openPool(trusting(parseDsn(change(database.dsn)), pem));
  try {
    const { rows } = await pool.query((db) =>
      sql<{ version: string }>`SELECT VERSION() AS version`.execute(db),
    );
    return `connected to ${rows[0]?.version ?? ''}`;
  } catch (error) {
    return `${faultOf(error)}: ${messageOf(error)}`;
  } finally {
    await pool.close();
  }
}

const asItIs = (dsn: string) => dsn;
const verified = (dsn: string) => `${dsn}&tls=true`;
const under = (host: string) => (dsn: string) => dsn.replace('127.0.0.1', host);

it('DATABASE_CA_FILE alone: TLS, and the server is known; tls=true says the same', async () => {
  expect(await connect(asItIs, ca.pem)).toMatch(/^connected to .*MariaDB/);
  expect(await connect(verified, ca.pem)).toMatch(/^connected/);
});

it('without the CA, and with another one, it is away and the setting is named', async () => {
  for (const pem of [null, makePrivateCa(dir, 'other').pem])
    expect(await connect(verified, pem)).toMatch(
      /^away: The database is away: HANDSHAKE_SSL_ERROR: .*certificate.* name the CA in DATABASE_CA_FILE/,
    );
});

it('a certificate for another name is refused, as the Go driver does', async () => {
  expect(await connect(under('localhost'), ca.pem)).toMatch(
    /^away: .*connect to a name that the certificate is for/,
  );
});

it('a plain connection to a server that takes TLS only is refused; MySQL says why, and then we say what to set', async () => {
  expect(await connect(asItIs, null)).toMatch(
    /^away: The database is away: ER_ACCESS_DENIED_ERROR: .*if it demands TLS, add tls=true/,
  );
  const refusal = Object.assign(
    new Error('Connections using insecure transport are prohibited while --require_secure_transport=ON.'),
    { errno: 3159, code: 'ER_SECURE_TRANSPORT_REQUIRED' },
  );
  expect(messageOf(translate(refusal))).toContain('add tls=true to DATABASE_DSN');
});

it.each(['certificate has expired', 'certificate is not yet valid'])(
  '%s: what mends it is said, and not a CA that would not',
  (text) => {
    const refusal = Object.assign(new Error(text), { code: 'HANDSHAKE_SSL_ERROR' });
    const told = messageOf(unavailable(refusal));
    expect(told).toContain(`${text} (renew the certificate, or set the clock of this machine)`);
    expect(told).not.toContain('DATABASE_CA_FILE');
  },
);

it('tls=skip-verify still connects to anybody, also with a CA, which is then not used', async () => {
  const skip = (dsn: string) => `${dsn}&tls=skip-verify`;
  expect(await connect(skip, null)).toMatch(/^connected/);
  expect(await connect(skip, makePrivateCa(dir, 'third').pem)).toMatch(/^connected/);
  expect(trusting(parseDsn(skip(database.dsn)), ca.pem).notes).toEqual([
    'tls=skip-verify checks no certificate: DATABASE_CA_FILE is not used',
  ]);
});

it('over a unix socket a CA asks for nothing', () => {
  const dsn = trusting(parseDsn('u:p@unix(/run/db.sock)/d'), ca.pem);
  expect(dsn.tls).toBe(false);
});
