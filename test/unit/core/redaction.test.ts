import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRedactor, isSecretField } from '~/server/core/redaction';

function redactorWith(...secrets: string[]) {
  const redactor = createRedactor();
  for (const secret of secrets) redactor.register(secret);
  return redactor;
}

describe('registered secrets', () => {
  const SECRET = 'pA/ss+w"o\\rd=&%~(1)==';

  it.each([
    ['as it is', SECRET],
    ['without its base64 padding', SECRET.replace(/=+$/, '')],
    ['in a URL', encodeURIComponent(SECRET)],
    ['in a form', new URLSearchParams({ a: SECRET }).toString()],
    [
      'in a URL with lower-case digits',
      encodeURIComponent(SECRET).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    ],
    [
      'in a URL, every sign encoded',
      encodeURIComponent(SECRET).replace(
        /[~()]/g,
        (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    ],
    ['in JSON', JSON.stringify({ a: SECRET })],
    ['in lower case, as CloudStack signs it', encodeURIComponent(SECRET).toLowerCase()],
  ])('vanish %s', (_, form) => {
    const text = redactorWith(SECRET).redact(`before ${form} after`);
    expect(text).toMatch(/^before .*\*\*\*.* after$/);
    expect(text).not.toMatch(/ss|w.*o/);
  });

  it('vanish wholly where one begins with another, in any order of registration', () => {
    for (const secrets of [
      ['abcd', 'abcdefgh'],
      ['abcdefgh', 'abcd'],
    ])
      expect(redactorWith(...secrets).redact('x abcdefgh y abcd z')).toBe('x *** y *** z');
  });

  it('vanish every time they occur', () => {
    expect(redactorWith('hunter2').redact('hunter2hunter2 hunter2')).toBe('****** ***');
  });

  it('that are too short are not masked: they would mask ordinary text', () => {
    expect(redactorWith('', 'a', 'abc').redact('abc a b c')).toBe('abc a b c');
  });

  it('with half of a surrogate pair do not break the redactor', () => {
    expect(redactorWith('half\ud800secret').redact('a half\ud800secret b')).toBe('a *** b');
  });

  it('property: no registered secret survives, whatever surrounds it', () => {
    // "*" is what the mask is made of, so a secret of stars cannot be told from it.
    const secret = fc.string({ minLength: 4, maxLength: 40 }).filter((text) => !text.includes('*'));
    fc.assert(
      fc.property(fc.string(), secret, fc.string(), (before, hidden, after) => {
        expect(redactorWith(hidden).redact(before + hidden + after)).not.toContain(hidden);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('what looks like a credential, registered or not', () => {
  it.each([
    [
      'https://cs/client/api?command=x&apiKey=AbC-d_1%2B&signature=q%3D&response=json',
      'https://cs/client/api?command=x&apiKey=***&signature=***&response=json',
    ],
    ['secretkey=abc secret_key=abc api_key=abc', 'secretkey=*** secret_key=*** api_key=***'],
    ['{"secretKey": "abc", "zone":"z"}', '{"secretKey": "***", "zone":"z"}'],
    ['{\\"apikey\\":\\"abc\\"}', '{\\"apikey\\":\\"***\\"}'],
    ['sessionkey=abc&csrf_token=def', 'sessionkey=***&csrf_token=***'],
    ['cannot connect to oma:s3:cr@t@tcp(db:3306)/d', 'cannot connect to oma:***@tcp(db:3306)/d'],
    ['DATABASE_DSN=oma:pw@unix(/run/m.sock)/d', 'DATABASE_DSN=oma:***@unix(/run/m.sock)/d'],
    ['mysql://oma:pw%40@db/d is away', 'mysql://oma:***@db/d is away'],
    [`a token vmd_${'x'.repeat(43)} in a text`, 'a token *** in a text'],
    ['Authorization: Bearer abc.def-g_h~i+/=', 'Authorization: Bearer ***'],
  ])('%s', (text, expected) => {
    expect(createRedactor().redact(text)).toBe(expected);
  });

  it.each([
    'Volume 5f3c not found',
    'http://127.0.0.1:8090/health and mail@example.com',
    'GET /api/v1/volumes?vm_id=1&limit=5',
    'mapping user:disk at 10:42:07.123Z',
    'CloudStack API error 431 (CSExceptionErrorCode: 4350)',
  ])('and leaves alone: %s', (text) => {
    expect(createRedactor().redact(text)).toBe(text);
  });

  it('takes linear time on texts made to be slow (quadratic time would not end)', () => {
    const redactor = createRedactor();
    const slow = ['x', 'a:', '://a:', ':@tcp', 'bearer ', 'token"  ', 'secret_'].map((part) =>
      part.repeat(50_000),
    );
    for (const text of slow) expect(redactor.redact(`${text} http://h @tcp(`)).toMatch(/@tcp\($/);
  });
});

describe('names of secret fields', () => {
  it.each([
    'password',
    'DB_PASSWD',
    'apiKey',
    'api_key',
    'x-api-key',
    'apikey',
    'secretKey',
    'secret',
    'token',
    'accessToken',
    'signature',
    'Authorization',
    'encryptionKey',
    'cookie',
    'credentials',
  ])('%s', (name) => {
    expect(isSecretField(name)).toBe(true);
  });

  it.each(['key', 'volume_id', 'tokenFile', 'signatureVersion', 'author', 'passed', 'monkey'])(
    'not %s',
    (name) => {
      expect(isSecretField(name)).toBe(false);
    },
  );
});
