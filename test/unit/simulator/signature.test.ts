import { describe, expect, it } from 'vitest';
import { checkSignature, parseExpires, signatureOf } from '~/lab/cloudstack/wire/signature';

/** A documentation key; the signatures were computed with the Java classes that the server uses. */
const SECRET = 'plgWJfZK4gyS3mOMTVmjUVg-X-jlWlnfaUJ9GAbBbf9EdM-kAYMmAiLqzzq1ElZLYq_u38zCm0bewzGUdP66mg';
const API_KEY = 'miVr6X7u6bN_sdahOBpjNejPgEsT35eXq-jB8CG20YI3yaxXcgpyuaIRmFI_EJTVwZ0nUkkJbPmY3y2bciKwFQ';
const CREDENTIALS = { apiKey: API_KEY, secretKey: SECRET };
const NOW = Date.UTC(2026, 0, 1, 12);

const VECTORS: [why: string, parameters: Record<string, string>, signature: string][] = [
  ['plain', { command: 'listUsers', response: 'json' }, 'rArXFh5TUbs41pgxDphUa0yTZFc='],
  ['spaces', { command: 'createVolume', name: 'data volume 1', size: '10' }, 'XNBAylHh5yCOuUZ7AfXBEbCLD80='],
  ['plus, star, tilde', { command: 'createVolume', name: 'a+b*c~d' }, '4U4P7dvej4TlH2oGNcYSYEmRAl4='],
  [
    'what JavaScript leaves alone',
    { command: 'createVolume', name: "paren()bang!quote'" },
    'xHEHqpAZ2gISXrDOPXCxqR2WmC4=',
  ],
  ['brackets and bars', { command: 'createVolume', name: 'br[0]{x}|^`' }, 'UUFBgHj8J1YBZgTyEm1qsEWqWKM='],
  ['separators', { command: 'createVolume', name: '100%/&=?#;:@,$' }, 'tfsimctlSCGkPKxsG8NHWnp3FVA='],
  ['umlauts', { command: 'createVolume', name: '\u00fc\u00c4\u00df' }, 'F+k9foy6mWo6I0ROSaKptBfeKRw='],
  ['emoji', { command: 'createVolume', name: '\u65e5\u672c\ud83d\ude00' }, '6v+HqefE9i2wHnrDVjWO+lnYitQ='],
];

function signed(parameters: Record<string, string>): Map<string, string> {
  const params = new Map(Object.entries({ apiKey: API_KEY, ...parameters }));
  return params.set('signature', signatureOf(params, SECRET));
}

const verdict = (params: ReadonlyMap<string, string>, enforce = false) => {
  try {
    checkSignature(params, CREDENTIALS, NOW, enforce);
    return 'accepted';
  } catch (error) {
    return error instanceof Error ? error.message : error;
  }
};
const REFUSED = 'unable to verify user credentials and/or request signature';

describe('the simulator checks signatures as the server does', () => {
  it.each(VECTORS)('computes what Java computes: %s', (_, parameters, expected) => {
    expect(signatureOf(new Map(Object.entries({ apiKey: API_KEY, ...parameters })), SECRET)).toBe(expected);
  });

  it('accepts a good one, under any case of the parameter names', () => {
    expect(verdict(signed({ command: 'listZones' }))).toBe('accepted');
    const upper = new Map([
      ['APIKEY', API_KEY],
      ['command', 'listZones'],
    ]);
    expect(verdict(upper.set('SIGNATURE', signatureOf(upper, SECRET)))).toBe('accepted');
  });

  it('refuses a changed value, an added parameter, another key, and none', () => {
    expect(verdict(signed({ command: 'listZones' }).set('command', 'listVolumes'))).toBe(REFUSED);
    expect(verdict(signed({ command: 'listZones' }).set('id', '1'))).toBe(REFUSED);
    expect(verdict(signed({ command: 'listZones' }).set('apiKey', 'somebody'))).toBe(REFUSED);
    expect(verdict(new Map([['command', 'listZones']]))).toBe(REFUSED);
  });

  it('compares the text: a signature that only decodes to the same bytes is another one', () => {
    const params = signed({ command: 'listZones' });
    expect(verdict(params.set('signature', (params.get('signature') ?? '').replace('=', '')))).toBe(REFUSED);
  });

  it('version 3 expires, other versions never do', () => {
    const at = (expires: string, signatureversion = '3') =>
      verdict(signed({ command: 'listZones', signatureversion, expires }));
    expect(at('2026-01-01T12:00:01+0000')).toBe('accepted');
    expect(at('2026-01-01T11:59:59+0000')).toBe(REFUSED);
    expect(at('tomorrow')).toBe(REFUSED);
    expect(verdict(signed({ command: 'listZones', signatureversion: '3' }))).toBe(REFUSED);
    expect(at('2000-01-01T00:00:00+0000', '2')).toBe('accepted');
  });

  it('enforced timestamps want version 3 and at most 15 minutes', () => {
    const at = (expires: string) =>
      verdict(signed({ command: 'listZones', signatureversion: '3', expires }), true);
    expect(verdict(signed({ command: 'listZones' }), true)).toBe(REFUSED);
    expect(at('2026-01-01T12:15:00Z')).toBe('accepted');
    expect(at('2026-01-01T12:15:01Z')).toBe(REFUSED);
  });

  it.each([
    ['2026-01-01T12:00:00+0000', NOW],
    ['2026-01-01T14:00:00+02:00', NOW],
    ['2026-01-01T12:00:00Z', NOW],
    ['2026-01-01T12:00:00.250000Z', NOW + 250],
    ['2026-01-01 12:00:00Z', null],
    ['2026-01-01T12:00:00', null],
    ['2026-01-01T12:00:00.1234567Z', null],
  ])('reads the time %s', (text, ms) => {
    expect(parseExpires(text)).toBe(ms);
  });
});
