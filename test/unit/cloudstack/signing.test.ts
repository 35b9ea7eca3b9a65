import { describe, expect, it } from 'vitest';
import { signature, signedForm } from '~/server/cloudstack/wire/signing';

/** A made-up documentation key; the signatures were computed with the Java classes that the server uses. */
const SECRET = 'plgWJfZK4gyS3mOMTVmjUVg-X-jlWlnfaUJ9GAbBbf9EdM-kAYMmAiLqzzq1ElZLYq_u38zCm0bewzGUdP66mg';
const API_KEY = 'miVr6X7u6bN_sdahOBpjNejPgEsT35eXq-jB8CG20YI3yaxXcgpyuaIRmFI_EJTVwZ0nUkkJbPmY3y2bciKwFQ';

const CASES: [why: string, parameters: Record<string, string>, signature: string][] = [
  ['plain', { command: 'listUsers', response: 'json' }, 'rArXFh5TUbs41pgxDphUa0yTZFc='],
  [
    'spaces become %20',
    { command: 'createVolume', name: 'data volume 1', size: '10' },
    'XNBAylHh5yCOuUZ7AfXBEbCLD80=',
  ],
  [
    '+ and ~ are encoded, * is not',
    { command: 'createVolume', name: 'a+b*c~d' },
    '4U4P7dvej4TlH2oGNcYSYEmRAl4=',
  ],
  [
    "( ) ! ' are encoded",
    { command: 'createVolume', name: "paren()bang!quote'" },
    'xHEHqpAZ2gISXrDOPXCxqR2WmC4=',
  ],
  [
    'brackets, braces, bars',
    { command: 'createVolume', name: 'br[0]{x}|^`' },
    'UUFBgHj8J1YBZgTyEm1qsEWqWKM=',
  ],
  ['all separators', { command: 'createVolume', name: '100%/&=?#;:@,$' }, 'tfsimctlSCGkPKxsG8NHWnp3FVA='],
  [
    'what stays literal',
    { command: 'createVolume', name: 'dot.dash-under_star*' },
    'VY9JJKhTfYpQSDmWqNOzFPLSOhs=',
  ],
  ['umlauts', { command: 'createVolume', name: '\u00fc\u00c4\u00df' }, 'F+k9foy6mWo6I0ROSaKptBfeKRw='],
  [
    'outside the basic plane',
    { command: 'createVolume', name: '\u65e5\u672c\ud83d\ude00' },
    '6v+HqefE9i2wHnrDVjWO+lnYitQ=',
  ],
  [
    'an empty value is signed as name=',
    { command: 'createVolume', name: '' },
    'OPEwIquj0EL5k0RHUiF9ZvIg0zw=',
  ],
  [
    'lower-cased as a whole',
    { command: 'createVolume', name: 'MixedCASE', zoneId: '1746EF10-8FA6-40C1-9C82-C3956BF75DB8' },
    'Dy9XR37zapGyKR5isD7djGPkw58=',
  ],
  [
    'names are never encoded',
    { command: 'deployVirtualMachine', 'details[0].key': 'v v', 'details[0].rootDiskController': 'virtio' },
    'DVCjR74k5h3RmnUNXlJ6TrC+Snw=',
  ],
  [
    'version 3 with a numeric offset',
    { command: 'listVolumes', expires: '2030-01-01T00:00:00+0000', response: 'json', signatureversion: '3' },
    'EaSBKfsJBGmeBkTEZi75bpxH4sM=',
  ],
  [
    'version 3 with Z',
    { command: 'listVolumes', expires: '2030-01-01T00:00:00Z', response: 'json', signatureVersion: '3' },
    'YcjAH8xQ3C4I3yqZR1NMMyhRGgI=',
  ],
  [
    'several names in order',
    {
      command: 'listVolumes',
      listall: 'true',
      page: '1',
      pagesize: '500',
      'tags[0].key': 'k',
      'tags[0].value': 'v',
    },
    'NJq6MRbKuWi+7vPRC3Sz4jbOH5U=',
  ],
  ['a line break', { command: 'createVolume', name: 'line\nbreak' }, '/TX+YY0/ucCatgl2+exPjG0UwIQ='],
];

describe('signing', () => {
  it.each(CASES)('signs as the server does: %s', (_why, parameters, expected) => {
    expect(signature({ apiKey: API_KEY, ...parameters }, SECRET)).toBe(expected);
  });

  it('sends lower-case names, JSON, version 3 and an expiry in the form every server parses', () => {
    const form = new URLSearchParams(
      signedForm(
        'listZones',
        { available: 'true' },
        { apiKey: API_KEY, secretKey: SECRET },
        Date.UTC(2030, 0, 1, 0, 10),
      ),
    );
    expect(Object.fromEntries(form)).toMatchObject({
      command: 'listZones',
      response: 'json',
      signatureversion: '3',
      expires: '2030-01-01T00:10:00+0000',
    });
    const { signature: sent, ...rest } = Object.fromEntries(form);
    expect(sent).toBe(signature(rest, SECRET));
    expect([...form.keys()].every((name) => name === name.toLowerCase())).toBe(true);
  });

  it('encodes every text as the form encoding of the platform does, but for the space', () => {
    const characters = [
      ...Array.from({ length: 0x17f }, (_, n) => String.fromCharCode(n)),
      '磁',
      '🚀',
      '\ud83d',
      '\ude80',
    ];
    for (const value of [...characters, characters.join(''), ...characters.map((one) => `a${one}b`)]) {
      const byPlatform = new URLSearchParams({ v: value }).toString().slice(2).replaceAll('+', '%20');
      const form = signedForm('c', { v: value }, { apiKey: API_KEY, secretKey: SECRET }, 0);
      expect(form.split('&')[0]).toBe(`v=${byPlatform}`);
    }
  });
});
