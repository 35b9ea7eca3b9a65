import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import {
  breaksConnection,
  type Fault,
  faultOf,
  isDuplicate,
  isOfRow,
  translate,
  unavailable,
} from '~/server/database/connection/faults';

/** As mysql2 throws the error packet of a server. */
function packet(errno: number, sqlState = 'HY000', message = 'text of the server'): Error {
  return Object.assign(new Error(message), { errno, sqlState, code: `ER_${errno}` });
}

/** As Node and mysql2 throw what no server has said. */
function raised(code: string | null, message = 'text of nobody', more: object = {}): Error {
  return Object.assign(new Error(message), code === null ? more : { code, ...more });
}

const FAULTS: readonly (readonly [what: string, error: unknown, fault: Fault])[] = [
  ['a deadlock', packet(1213, '40001'), 'rolled-back'],
  ['a lock that was not given', packet(1205), 'rolled-back'],
  ['a unique key', packet(1062, '23000'), 'duplicate'],
  ['a foreign key', packet(1452, '23000'), 'no-parent'],
  ['the end of the server in the middle', packet(1053, '08S01'), 'lost'],
  ['a statement that took too long', packet(1969, '70100'), 'lost'],
  ['a mistake of ours', packet(1064, '42000'), 'other'],
  ['a trigger that says no', packet(1644, '45000'), 'refused'],
  ['a CHECK of the next version, by its class', packet(60_000, '23000'), 'refused'],
  ['a value of the next version, by its class', packet(60_001, '22001'), 'refused'],
  ['a refusal of the next version', packet(60_002), 'away'],
  ['a node outside of its cluster', packet(1047, '08S01'), 'away'],
  ['a right that was taken', packet(1142, '42000'), 'away'],
  ['a full disk', packet(1021), 'away'],
  ['no answer in time', raised('PROTOCOL_SEQUENCE_TIMEOUT'), 'lost'],
  ['a connection that broke', raised('ECONNRESET', 'read', { errno: -104, fatal: true }), 'lost'],
  ['nobody listens', raised('ECONNREFUSED', 'connect', { errno: -111, fatal: true }), 'away'],
  [
    'a connection that is closed',
    raised(null, "Can't add new command when connection is in closed state"),
    'lost',
  ],
  ['a pool that is full', raised(null, 'Queue limit reached.'), 'away'],
  ['what mysql2 does not go on after', raised('PROTOCOL_NEW', 'odd', { fatal: true }), 'lost'],
  ['an error of the driver that ends nothing', raised('PROTOCOL_NEW', 'odd', { fatal: false }), 'other'],
  ['an error of ours', new TypeError('undefined is not a function'), 'other'],
  ['no error', 'text', 'other'],
  ['what stands behind "away"', unavailable(packet(1213)), 'rolled-back'],
  ['another answer of ours', new DaemonError('VOLUME_BUSY', 'busy', { cause: packet(1213) }), 'other'],
];

describe('what a database error means', () => {
  it.each(FAULTS)('%s', (_what, error, fault) => {
    expect(faultOf(error)).toBe(fault);
    expect(breaksConnection(error)).toBe(fault === 'lost' || fault === 'away');
    expect(isOfRow(error)).toBe(fault === 'refused' || fault === 'duplicate' || fault === 'no-parent');
  });

  it.each(FAULTS)(
    '%s: only a mistake of ours ends as one, everything else as "away"',
    (_what, error, fault) => {
      const told = translate(error);
      if (error instanceof DaemonError || fault === 'other') expect(told).toBe(error);
      else expect(told).toMatchObject({ code: 'DATABASE_UNAVAILABLE', cause: error });
    },
  );

  it('a duplicate of another key is not that of ours', () => {
    const error = packet(1062, '23000', "Duplicate entry 'x' for key 'audit.one_a_day'");
    expect([isDuplicate(error), isDuplicate(error, 'one_a_day'), isDuplicate(error, 'idempotency')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(isDuplicate(packet(1452, '23000', 'one_a_day'), 'one_a_day'), 'not a duplicate').toBe(false);
  });

  it.each([
    ['a row', packet(1644, '45000', 'no'), 'The database refuses a row: ER_1644: no (a trigger'],
    ['a server', packet(60_002), 'The database is away: ER_60002: text of the server'],
    ['no name', Object.assign(new Error('odd'), { errno: 60_003 }), 'away: error 60003: odd'],
    [
      'an address',
      raised('ECONNREFUSED', 'connect', { address: '10.0.0.5', port: 3306 }),
      'away: ECONNREFUSED 10.0.0.5:3306 (no server listens there',
    ],
    [
      'a socket',
      raised('ENOENT', 'connect', { address: '/run/db.sock' }),
      'away: ENOENT /run/db.sock (there is',
    ],
    [
      'a name',
      raised('ENOTFOUND', 'getaddrinfo', { hostname: 'db' }),
      'away: ENOTFOUND db (there is no host',
    ],
    [
      'a certificate that is old',
      raised('HANDSHAKE_SSL_ERROR', 'certificate has expired'),
      'certificate has expired (renew the certificate',
    ],
    [
      'a certificate of another name',
      raised('ERR_TLS_CERT_ALTNAME_INVALID', "altnames: Host: db. does not match certificate's altnames"),
      '(connect to a name that the certificate is for)',
    ],
    ['a CA', raised('HANDSHAKE_SSL_ERROR', 'self-signed certificate'), 'name the CA in DATABASE_CA_FILE'],
  ])('it is said of %s what was met, and what may be done', (_what, error, text) => {
    expect(unavailable(error).message).toContain(text);
  });

  it('each address of a name is told once', () => {
    const one = raised('ECONNREFUSED', 'connect', { address: '::1', port: 3306 });
    const other = raised('ECONNREFUSED', 'connect', { address: '127.0.0.1', port: 3306 });
    const all = Object.assign(new AggregateError([one, one, other]), { code: 'ECONNREFUSED' });
    expect(unavailable(all).message).toContain('ECONNREFUSED [::1]:3306, 127.0.0.1:3306 (');
  });
});
