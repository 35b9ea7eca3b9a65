import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressesOf, type Dsn, DsnError, describeDsn, parseDsn } from '~/server/database/connection/dsn';

const PLAIN: Dsn = {
  user: 'u',
  password: 'p',
  host: 'db',
  port: 3306,
  socketPath: null,
  alternatives: [],
  database: 'd',
  tls: false,
  ca: null,
  connectTimeoutMs: null,
  notes: [],
};

function problemOf(text: string): string {
  try {
    parseDsn(text);
  } catch (error) {
    if (error instanceof DsnError) return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('the Go form of a DSN', () => {
  it.each<[string, Partial<Dsn>]>([
    ['u:p@tcp(db:3306)/d', {}],
    ['u:p@tcp(db)/d', {}],
    ['u:p@tcp(db:)/d', {}],
    ['u:p@tcp(db:3307)/d?parseTime=true', { port: 3307 }],
    [' u:p@tcp(db)/d\n', {}],
    ['u@tcp(db)/d', { password: '' }],
    ['u:@tcp(db)/d', { password: '' }],
    ['u:p@tcp([::1]:3307)/d', { host: '::1', port: 3307 }],
    ['u:p@tcp([fe80::1%25eth0])/d', { host: 'fe80::1%25eth0' }],
    ['u:p@tcp(:3307)/d', { host: '127.0.0.1', port: 3307 }],
    ['u:p@tcp/d', { host: '127.0.0.1' }],
    ['u:p@/d', { host: '127.0.0.1' }],
    ['u:p@unix(/run/mysqld/mysqld.sock)/d', { host: 'localhost', socketPath: '/run/mysqld/mysqld.sock' }],
    [
      'u@unix(/run/a/b)/d?loc=UTC&tls=false',
      { host: 'localhost', socketPath: '/run/a/b', password: '', notes: ['loc is ignored: times are UTC'] },
    ],
    ['u:p@tcp(db)/my%2Fdb', { database: 'my/db' }],
    ['u:p@tcp(db)/100%', { database: '100%' }],
    ['u:a:b@c/d@e@tcp(db)/d', { password: 'a:b@c/d@e' }],
    ['u:)(?=&#@tcp(db)/d', { password: ')(?=&#' }],
    ['u:x/y?z@tcp(db)/d?parseTime=true', { password: 'x/y?z' }],
    ['u:a@tcp(x)/b@tcp(db)/d', { password: 'a@tcp(x)/b' }],
    ['u:p@tcp(db)/d?loc=Europe/Berlin', { notes: ['loc is ignored: times are UTC'] }],
    ['u:p@/d?loc=Europe/Berlin', { host: '127.0.0.1', notes: ['loc is ignored: times are UTC'] }],
  ])('%s', (text, expected) => {
    expect(parseDsn(text)).toEqual({ ...PLAIN, ...expected });
  });

  it('the default of the specification', () => {
    expect(parseDsn('oma_user:oma_password@tcp(localhost:3306)/migratekit_oma?parseTime=true')).toEqual({
      ...PLAIN,
      user: 'oma_user',
      password: 'oma_password',
      host: 'localhost',
      database: 'migratekit_oma',
    });
  });
});

describe('mysql:// URLs', () => {
  it.each<[string, Partial<Dsn>]>([
    ['mysql://u:p@db/d', {}],
    ['mariadb://u:p@db:3307/d', { port: 3307 }],
    ['MySQL://u:p@db/d', {}],
    ['mysql://u:pa%40s%2Fs%3Aw@db/d', { password: 'pa@s/s:w' }],
    ['mysql://u:100%@db/d', { password: '100%' }],
    ['mysql://u%40x@db/d', { user: 'u@x', password: '' }],
    ['mysql://u:p@[::1]:3307/d', { host: '::1', port: 3307 }],
    ['mysql://u:p@localhost/d?socket=/run/m.sock', { host: 'localhost', socketPath: '/run/m.sock' }],
    ['mysql://u:p@db/d?tls=true&timeout=5s', { tls: true, connectTimeoutMs: 5_000 }],
  ])('%s', (text, expected) => {
    expect(parseDsn(text)).toEqual({ ...PLAIN, ...expected });
  });
});

describe('several nodes of a cluster', () => {
  it.each([
    ['u:p@tcp(one:3306,two:3307,three)/d', 'one:3306 two:3307 three:3306'],
    ['u:p@tcp([::1]:3306, [::2]:3307)/d?parseTime=true', '::1:3306 ::2:3307'],
    ['u:p,w@tcp(one,two)/d', 'one:3306 two:3306'],
    ['u:p@tcp(one,one:3306,one)/d', 'one:3306'],
    ['mysql://u:p@one:3307,two/d?tls=true', 'one:3307 two:3306'],
    ['mysql://u:p%2C%40@[::1]:3307,10.0.0.2:3308/d', '::1:3307 10.0.0.2:3308'],
    ['mysql://u@one,two:3307/d', 'one:3306 two:3307'],
  ])('%s', (text, expected) => {
    const addresses = addressesOf(parseDsn(text));
    expect(addresses.map(({ host, port }) => `${host}:${port}`).join(' ')).toBe(expected);
  });

  it.each([
    ['u:p@tcp(one,)/d', /one of the addresses is empty/],
    ['u:p@tcp(one:99999,two)/d', /port is not between/],
    ['u:p@tcp(::1,two)/d', /brackets/],
    ['mysql://u:p@one,two:x/d', /host:port/],
    [`u:p@tcp(${Array.from({ length: 17 }, (_, n) => `n${n}`).join()})/d`, /more than 16/],
    ['u:p@tcp(one)/d?hosts=two', /name the nodes as tcp\(host1:port,host2:port\)/],
  ])('%s', (text, pattern) => {
    expect(problemOf(text)).toMatch(pattern);
  });

  it('are all shown by the description', () => {
    expect(describeDsn(parseDsn('u:p@tcp(one,[fe80::2%eth0]:3307)/d'))).toBe(
      'u:***@tcp(one:3306,[fe80::2%eth0]:3307)/d',
    );
  });
});

describe('parameters', () => {
  const withParameters = (query: string) => parseDsn(`u:p@tcp(db)/d?${query}`);

  it.each([
    ['tls=true', true],
    ['tls=1', true],
    ['tls=false', false],
    ['tls=skip-verify', 'skip-verify'],
    ['parseTime=true', false],
  ] as const)('%s', (query, tls) => {
    expect(withParameters(query)).toMatchObject({ tls, notes: [] });
  });

  it('tls=preferred does not fall back to a plain connection, and says so', () => {
    expect(withParameters('tls=preferred')).toMatchObject({
      tls: 'skip-verify',
      notes: [expect.stringContaining('preferred')],
    });
  });

  it.each([
    ['timeout=5s', 5_000],
    ['timeout=1m30s', 90_000],
    ['timeout=250ms', 250],
    ['timeout=1.5s', 1_500],
    ['timeout=0', null],
    ['timeout=0s', null],
  ])('%s', (query, connectTimeoutMs) => {
    expect(withParameters(query).connectTimeoutMs).toBe(connectTimeoutMs);
  });

  it('what is not used is noted, once each, and multiStatements never takes effect', () => {
    expect(
      withParameters('multiStatements=true&charset=utf8&readTimeout=5s&readTimeout=6s&colour=red').notes,
    ).toEqual([
      'multiStatements is ignored on purpose: one statement per query',
      'charset is ignored: it is always utf8mb4',
      'readTimeout is ignored: statements have their own limit',
      'the parameter colour is not known and ignored',
    ]);
  });

  it('a request for encryption in the words of another driver is refused, not ignored', () => {
    const others = ['ssl=true', 'ssl-mode=REQUIRED', 'sslmode=require', 'useSSL=true'];
    for (const query of [...others, 'TLS=true', 'Tls=skip-verify', 'tls-mode=required', 'useTLS=1'])
      expect(() => withParameters(query)).toThrow(/use tls=true/);
  });

  it('names of Object.prototype are ordinary parameters', () => {
    expect(withParameters('constructor=1').notes).toEqual([
      'the parameter constructor is not known and ignored',
    ]);
  });
});

describe('mistakes are reported without the password', () => {
  const SECRET = 'hunter2';
  it.each([
    ['', /empty/],
    ['   ', /empty/],
    [`u:${SECRET}@tcp(db)`, /no "\/database"/],
    [`u:${SECRET}@tcp(db)/`, /no database name/],
    [`:${SECRET}@tcp(db)/d`, /no user/],
    ['tcp(db)/d', /no user/],
    [`u:${SECRET}@tcp(db:99999)/d`, /port is not between/],
    [`u:${SECRET}@tcp(db:0)/d`, /port is not between/],
    [`u:${SECRET}@tcp(db:x)/d`, /host:port/],
    [`u:${SECRET}@tcp(::1)/d`, /brackets/],
    [`u:${SECRET}@tcp([FE80::1]:3306)/d`, /needs the interface/],
    [`mysql://u:${SECRET}@[fe80::1]/d`, /needs the interface/],
    [`u:${SECRET}@unix(run/m.sock)/d`, /not absolute/],
    [`u:${SECRET}@unix/d`, /not absolute/],
    [`u:${SECRET}@udp(db)/d`, /network/],
    [`u:${SECRET}@tcp(db/d`, /not of the form/],
    [`u:${SECRET}@tcp(db)/x/d`, /not of the form/],
    [`u:pass@${SECRET}/d`, /network/],
    [`u:x@${SECRET}-tail/d`, /not of the form/],
    [`u:${SECRET}@tcp(db)/d?tls=${SECRET}`, /tls is not one of/],
    [`u:${SECRET}@tcp(db)/d?timeout=${SECRET}`, /timeout is not a duration/],
    [`u:${SECRET}@tcp(db)/d?timeout=5`, /timeout is not a duration/],
    [`mysql://:${SECRET}@db/d`, /no user/],
    [`mysql://u:${SECRET}@db:0/d`, /port is not between/],
    [`mysql://u:${SECRET}@db:99999/d`, /valid URL/],
    [`mysql://u:${SECRET}@db`, /no database name/],
    [`mysql://u:${SECRET}@db/d?socket=m.sock`, /not absolute/],
    [`mysql://u:${SECRET}/x@db/d`, /valid URL/],
  ])('%s', (text, pattern) => {
    const problem = problemOf(text);
    expect(problem).toMatch(pattern);
    expect(problem).not.toContain(SECRET);
  });

  it('no broken DSN makes the parser throw anything else, or repeat a word of it', () => {
    const word = 'Zq7xK9';
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            word,
            ':',
            '@',
            '/',
            '?',
            '(',
            ')',
            'tcp',
            'unix',
            'mysql://',
            '[',
            ']',
            '%',
            '&',
            '=',
          ),
          { maxLength: 14 },
        ),
        (parts) => {
          try {
            parseDsn(parts.join(''));
          } catch (error) {
            if (!(error instanceof DsnError)) throw error;
            // The names of parameters are shown on purpose; ours begin with the word only behind a "?".
            if (!error.message.includes('parameter'))
              expect(error.message.toLowerCase()).not.toContain(word.toLowerCase());
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('round trips', () => {
  const nasty = fc.oneof(
    fc.string({ maxLength: 24 }),
    fc.string({
      maxLength: 24,
      unit: fc.constantFrom(
        ':',
        '@',
        '/',
        '?',
        '(',
        ')',
        '#',
        '&',
        '=',
        '%',
        ' ',
        "'",
        '"',
        '\\',
        'tcp(',
        '@tcp(x)/',
        'ü',
        '💾',
      ),
    }),
    fc.string({ maxLength: 24, unit: 'binary' }),
  );
  const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,15}$/);
  const port = fc.integer({ min: 1, max: 65_535 });
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  );
  const unbracketed = (text: string) => text.replace(/^\[|\]$/g, '');

  it('any password survives the Go form', () => {
    fc.assert(
      fc.property(name, nasty, host, port, name, (user, password, address, number, database) => {
        const dsn = parseDsn(`${user}:${password}@tcp(${address}:${number})/${database}?parseTime=true`);
        expect(dsn).toEqual({ ...PLAIN, user, password, host: unbracketed(address), port: number, database });
      }),
    );
  });

  it('any password survives the socket form', () => {
    fc.assert(
      fc.property(nasty, fc.stringMatching(/^(\/[a-z0-9._-]{1,8}){1,4}$/), (password, path) => {
        expect(parseDsn(`u:${password}@unix(${path})/d`)).toMatchObject({
          user: 'u',
          password,
          socketPath: path,
          database: 'd',
        });
      }),
    );
  });

  it('any password survives percent-encoding in a URL', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 24, unit: 'binary' }), (password) => {
        expect(parseDsn(`mysql://u:${encodeURIComponent(password)}@db:3307/d`)).toEqual({
          ...PLAIN,
          password,
          port: 3307,
        });
      }),
    );
  });
});

describe('the description of a DSN', () => {
  it('is the Go form without the password', () => {
    expect(describeDsn(parseDsn('u:hunter2@tcp([::1]:3307)/d?tls=true'))).toBe('u:***@tcp([::1]:3307)/d');
    expect(describeDsn(parseDsn('u@unix(/run/m.sock)/d'))).toBe('u@unix(/run/m.sock)/d');
  });
});
