import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readCredential } from '~/server/cloudstack/credentials';
import { classifyJobFailure, cleanText, networkError } from '~/server/cloudstack/errors';
import { jobPollDelayMs } from '~/server/cloudstack/job-poll-delay';
import { CloudSettings } from '~/server/cloudstack/settings';
import { apiEndpoint } from '~/server/cloudstack/wire/endpoint';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import { ManualClock } from '../devices/manual-clock';
import { cannedClient, configRow } from './canned-server';

const KEY = Buffer.alloc(32, 7);

/** As other services write it: base64 of nonce, ciphertext and tag. */
function encrypted(text: string, key = KEY): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
    'base64',
  );
}

describe('credentials of ossea_configs', () => {
  it('what was encrypted with our key is decrypted', () => {
    expect(readCredential(` ${encrypted('geheim-ä')}\n`, KEY)).toBe('geheim-ä');
  });

  it('what was encrypted with another key, or was changed, is used unchanged and so refused by CloudStack', () => {
    const stored = encrypted('secret', Buffer.alloc(32, 8));
    expect(readCredential(stored, KEY)).toBe(stored);
    const changed = Buffer.from(encrypted('secret'), 'base64');
    changed[20] = (changed[20] ?? 0) ^ 1;
    expect(readCredential(changed.toString('base64'), KEY)).toBe(changed.toString('base64'));
  });

  it('plain text stays plain text, with a key and without', () => {
    const plain = 'plgWJfZK4gyS3mOMTVmjUVgX';
    for (const key of [KEY, null]) expect(readCredential(plain, key)).toBe(plain);
    expect(readCredential('with-dashes_and-underscores', KEY)).toBe('with-dashes_and-underscores');
    expect(readCredential('', KEY)).toBe('');
  });

  it('without a key an encrypted value is not guessed at, and a marked plain text loses its mark', () => {
    const stored = encrypted('secret');
    expect(readCredential(stored, null)).toBe(stored);
    expect(readCredential('TEMP_PLAINTEXT_secret', KEY)).toBe('secret');
  });
});

describe('the active configuration', () => {
  it('no active row: the error says what to do, and no call is made', async () => {
    const client = cannedClient([configRow({ isActive: false })]);
    await expect(client.cloud.capabilities()).rejects.toMatchObject({
      kind: 'configuration',
      outcome: 'not-started',
      transient: true,
      message: 'CloudStack is not configured: insert an active row into ossea_configs',
    });
    expect(client.cloud.statistics().calls).toBe(0);
  });

  it('of several active rows the newest is used, which is logged once', async () => {
    const rows = [configRow({ name: 'new', apiKey: 'new-key' }), configRow({ name: 'old' })];
    const client = cannedClient(rows);
    expect(await client.settings.active()).toMatchObject({ apiKey: 'new-key', activeRows: 2 });
    await client.settings.reload();
    expect(client.warnings).toEqual([
      { reason: '2 rows of ossea_configs are active; the newest is used: new' },
    ]);
  });

  it('an address that cannot be used names the row and the mistake, not the credentials', async () => {
    const client = cannedClient([configRow({ name: 'main', apiUrl: 'ftp://cloud' })]);
    await expect(client.settings.require()).rejects.toMatchObject({
      kind: 'configuration',
      message:
        'CloudStack is not configured: the api_url "ftp://cloud" must begin with http:// or https:// (ossea_configs row main)',
    });
  });

  it('every secret is made known to the redactor, as it is stored and as it is used', async () => {
    const stored = encrypted('the-secret');
    const client = cannedClient([configRow({ apiKey: 'the-key', secretKey: stored })], KEY);
    expect((await client.settings.active())?.secretKey).toBe('the-secret');
    expect(client.secrets).toEqual(['the-key', 'the-secret', 'the-key', stored]);
  });

  it('is read again after 5 s, by one reading for all who ask, and a failed reading is not kept', async () => {
    const clock = new ManualClock();
    let readings = 0;
    let away = true;
    const readRows = async () => {
      readings += 1;
      if (away) throw new Error('the database is away');
      return [configRow()];
    };
    const parts = { readRows, encryptionKey: null, register: () => {}, clock, logger: silentLogger };
    const settings = new CloudSettings(parts);
    await expect(settings.active()).rejects.toThrow('the database is away');
    away = false;
    await Promise.all([settings.active(), settings.active(), settings.require()]);
    expect(readings).toBe(2);
    await clock.advance(4_999);
    await settings.active();
    expect(readings).toBe(2);
    await clock.advance(2);
    await settings.active();
    expect(readings).toBe(3);
  });
});

describe('the address people type', () => {
  it.each([
    ['http://cloud:8080/client/api', 'http://cloud:8080/client/api'],
    ['http://cloud:8080/client/api/', 'http://cloud:8080/client/api'],
    ['https://cloud/client', 'https://cloud/client/api'],
    ['https://cloud/', 'https://cloud/client/api'],
    ['cloud:8080', 'http://cloud:8080/client/api'],
    ['10.0.0.1:8080/client/api', 'http://10.0.0.1:8080/client/api'],
    ['https://gate/zone-1/client/api', 'https://gate/zone-1/client/api'],
    ['https://gate/zone-1', 'https://gate/zone-1/client/api'],
  ])('%s', (typed, endpoint) => {
    expect(apiEndpoint(typed)).toBe(endpoint);
  });

  it.each([
    '',
    'ftp://cloud',
    'http://user:password@cloud',
    'http://cloud/?x=1',
    'http://cloud/#x',
    'http://',
    'http://user:password@',
    'ftp://user:password@cloud',
  ])('refuses "%s" without showing a password', (typed) => {
    expect(() => apiEndpoint(typed)).toThrow();
    expect(() => apiEndpoint(typed)).not.toThrow(/password/);
  });
});

describe('what a failed job says about trying again', () => {
  it.each([
    [null, 'anything', 'unknown'],
    [530, null, 'unknown'],
    [0, null, 'unknown'],
    [530, 'This volume is already attached to a VM.', 'unknown'],
    [530, 'Device virtio-disk3 is already in the process of unplug', 'retry'],
    [530, 'Could not detach volume after sending the command and waiting for [10000] milliseconds', 'retry'],
    [530, 'Resource [Host:3] is unreachable', 'retry'],
    [530, 'Volume: v is in Attaching. It should be in Ready or Allocated state', 'retry'],
    [530, 'Unable to find suitable primary storage when creating volume [data]', 'retry'],
    [
      530,
      'Unable to schedule async job for command com.cloud.vm.VmWorkDetachVolume, unexpected exception.',
      'retry',
    ],
    [530, 'Failed to create volume [v] due to [No remote endpoint to send command]', 'retry'],
    [431, 'Please specify a VM that is either running or stopped.', 'retry'],
    // An unknown text is tried a few times, in between the volume is read again.
    [530, 'operation failed: target vdb already exists', 'retry'],
    [530, 'Account does not have permission for expunging.', 'final'],
    [530, 'Attach failed: vm and volume belong to different accounts', 'final'],
    [530, 'The specified VM already has the maximum number of data disks (24)', 'final'],
    [530, 'Failed to attach volume agent to VM v; internal error: No more available PCI slots', 'final'],
    [431, 'please specify a VM that does not have VM snapshots', 'final'],
    [432, 'shrinking is not allowed', 'final'],
    // Only true if an earlier try has worked.
    [431, 'The specified volume is not attached to a VM.', 'unknown'],
    [533, 'no capacity', 'retry'],
    [534, 'StoragePool is down', 'retry'],
    [403, 'Forbidden, says something on the way', 'retry'],
    [531, 'not yours', 'final'],
    [535, 'Maximum', 'final'],
    [401, 'unable to verify', 'final'],
    [536, 'in use', 'retry'],
  ] as const)('%s "%s": %s', (code, text, verdict) => {
    expect(classifyJobFailure(code, text)).toBe(verdict);
  });
});

describe('a connection that fails', () => {
  const failed = (code: string, syscall?: string) =>
    networkError(Object.assign(new Error('x'), { code, ...(syscall ? { syscall } : {}) }), 'listZones');

  it.each(['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'])(
    '%s: nothing was sent, and it names the setting',
    (code) => {
      const error = failed(code);
      expect(error.outcome).toBe('not-started');
      expect(error.message).toContain('CLOUDSTACK_CA_FILE');
    },
  );

  it.each(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])(
    '%s: nothing was sent, and no CA is asked for that would not help',
    (code) => {
      const error = failed(code);
      expect(error.outcome).toBe('not-started');
      expect(error.message).toContain('renew it, or set the clock');
      expect(error.message).not.toContain('CLOUDSTACK_CA_FILE');
    },
  );

  it.each([
    ['EPROTO', 'scheme and port in api_url'],
    ['HPE_INVALID_CONSTANT', 'scheme and port in api_url'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'have one of them in api_url'],
    ['ENOTFOUND', 'no host of that name'],
    ['ECONNREFUSED', 'no server listens there'],
    ['EHOSTUNREACH', 'no way leads there'],
    ['ERR_CONNECT_TIMEOUT', 'look at scheme, host and port in api_url'],
  ])('%s: it names what is to be corrected', (code, hint) => {
    expect(failed(code, 'connect').message).toContain(hint);
  });

  it.each([
    ['ECONNREFUSED', 'connect', 'not-started'],
    ['ENOTFOUND', 'getaddrinfo', 'not-started'],
    ['EHOSTUNREACH', 'connect', 'not-started'],
    ['EHOSTUNREACH', 'write', 'unknown'],
    ['ECONNRESET', 'read', 'unknown'],
    ['ETIMEDOUT', 'read', 'unknown'],
    ['EPIPE', 'write', 'unknown'],
  ])('%s of %s: %s', (code, syscall, outcome) => {
    expect(failed(code, syscall)).toMatchObject({ kind: 'network', outcome, transient: true });
  });
});

describe('small things', () => {
  it('jobs are polled quickly at first, and never more often than every tenth of their age', () => {
    expect(jobPollDelayMs(0, 0, 1)).toBe(LIMITS.JOB_POLL_FIRST_MS);
    expect(jobPollDelayMs(1_000, 10 * 60_000, 1)).toBe(LIMITS.JOB_POLL_MAX_MS);
    let elapsed = 0;
    for (let poll = 0; poll < 50; poll += 1) {
      const delay = jobPollDelayMs(poll, elapsed, 1);
      expect(delay).toBeLessThanOrEqual(Math.max(LIMITS.JOB_POLL_FIRST_MS, elapsed / 10));
      elapsed += delay;
    }
  });

  it('many jobs are polled less often, so that CloudStack is asked no more often for all of them', () => {
    expect(jobPollDelayMs(0, 0, 200)).toBe(200 * LIMITS.JOB_POLL_SPACING_MS);
    expect(jobPollDelayMs(9, 60_000, 200)).toBe(jobPollDelayMs(9, 60_000, 1));
    expect(jobPollDelayMs(0, 0, 1_000_000)).toBe(LIMITS.JOB_POLL_MAX_MS);
  });

  it('a text is cut, cleaned and loses credentials wherever they stand', () => {
    expect(cleanText('see http://c/?apiKey=abc&signature=d%3D" now\u0007')).toBe(
      'see http://c/?apiKey=***&signature=***" now',
    );
  });

  it('a text is not cut in the middle of a character: a JSON column would refuse the rest', () => {
    const said = cleanText(`${'x'.repeat(999)}\u{1f600} is in the way`);
    expect(said).toHaveLength(1_000);
    expect(Buffer.from(said).toString(), 'it has a UTF-8 form').toBe(said);
    expect(cleanText('disk \u{1f600} is in the way')).toBe('disk \u{1f600} is in the way');
  });

  it('megabytes of text are not cleaned to their end, which would take seconds', () => {
    const before = process.cpuUsage();
    expect(cleanText('y\u0007'.repeat(5_000_000))).toHaveLength(999);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000, 'processor time in ms').toBeLessThan(300);
  });
});
