import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makePrivateCa } from '~/lab/certificates';
import {
  ConfigurationError,
  describeConfiguration,
  loadConfiguration,
} from '~/server/daemon/configuration/configuration';
import type { Variable } from '~/server/daemon/configuration/variable';
import { VARIABLES } from '~/server/daemon/configuration/variables';
import { problemsOf } from './problems-of';

const VM = '11111111-2222-4333-8444-abcdefabcdef';
const KEY = Buffer.alloc(32, 0xfb);

it('what the packaged file suggests can be switched on, and it says which line others need', () => {
  const text = readFileSync(new URL('../../../packaging/deb/volume-daemon.default', import.meta.url), 'utf8');
  const suggested = [...text.matchAll(/^#?([A-Z_]+)=(.*)$/gm)].map(([, name = '', value]) => [name, value]);
  const { CLOUDSTACK_CA_FILE: _, ...all } = Object.fromEntries(suggested);
  expect(Object.keys(all).length).toBeGreaterThan(8);
  expect(problemsOf(all)).toEqual([]);
  const { NBD_BACKEND: backend, ...others } = all;
  expect(problemsOf(others).map(({ variable }) => variable)).toEqual(['NBD_TLS', 'NBD_MAX_BYTES_PER_SECOND']);
  expect(backend).toBe('nbdkit');
});

describe('the owner of new volumes', () => {
  it('is a project, or an account with its domain', () => {
    expect(loadConfiguration({ CLOUDSTACK_PROJECT: VM.toUpperCase() }).cloudstack.owner).toEqual({
      projectId: VM,
      account: null,
      domainId: null,
    });
    const env = { CLOUDSTACK_ACCOUNT: 'Migration Team', CLOUDSTACK_DOMAIN: VM };
    expect(loadConfiguration(env).cloudstack.owner).toEqual({
      projectId: null,
      account: 'Migration Team',
      domainId: VM,
    });
  });

  it.each([
    [{ CLOUDSTACK_ACCOUNT: 'a' }, 'CLOUDSTACK_ACCOUNT', 'needs CLOUDSTACK_DOMAIN, the id of its domain'],
    [{ CLOUDSTACK_DOMAIN: VM }, 'CLOUDSTACK_DOMAIN', 'needs CLOUDSTACK_ACCOUNT'],
    [
      { CLOUDSTACK_PROJECT: VM, CLOUDSTACK_ACCOUNT: 'a', CLOUDSTACK_DOMAIN: VM },
      'CLOUDSTACK_PROJECT',
      'cannot be set together with an account or a domain',
    ],
    [{ CLOUDSTACK_ACCOUNT: 'a', CLOUDSTACK_DOMAIN: 'ROOT' }, 'CLOUDSTACK_DOMAIN', '"ROOT" is not a UUID'],
  ])('%o is half an owner, or two', (env, variable, message) => {
    expect(problemsOf(env)).toEqual([{ variable, message }]);
  });
});

describe('files with the certificate of a CA', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ca-file-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  it('are read at once, used by both, and shown by whom they are of', () => {
    const { file: path, pem } = makePrivateCa(folder);
    const bundle = file('bundle.pem', `a comment\n${pem}\n${pem}`);
    const configuration = loadConfiguration({ CLOUDSTACK_CA_FILE: path, DATABASE_CA_FILE: bundle });
    expect(configuration.cloudstack.ca).toMatchObject({ path, subjects: ['CN=Private CA ca'] });
    expect(configuration.database.dsn).toMatchObject({ tls: true, ca: `${pem.trim()}\n${pem.trim()}\n` });
    const shown = JSON.stringify(describeConfiguration(configuration));
    expect(shown).toContain('CN=Private CA ca');
    expect(shown).not.toContain('BEGIN CERTIFICATE');
  });

  it('every mistake is said at once, whatever else is wrong', () => {
    const key = file('server.key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
    const broken = file('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const pipe = join(folder, 'pipe.pem');
    execFileSync('mkfifo', [pipe]);
    const found = (path: string) =>
      problemsOf({ CLOUDSTACK_CA_FILE: path, DATABASE_CA_FILE: file('empty.pem', 'nothing'), PORT: 'x' });
    for (const [path, message] of [
      ['relative.pem', /is not an absolute path/],
      [join(folder, 'missing.pem'), /^cannot be read: ENOENT/],
      [folder, /^cannot be read: .* is not a file/],
      [pipe, /^cannot be read: .* is not a file/],
      ['/dev/zero', /^cannot be read: .* is not a file/],
      [key, /holds a private key; name a file with the certificate/],
      [broken, /^certificate 1 of .*broken\.pem cannot be read/],
    ] as const) {
      expect(found(path)).toEqual(
        expect.arrayContaining([
          { variable: 'CLOUDSTACK_CA_FILE', message: expect.stringMatching(message) },
          {
            variable: 'DATABASE_CA_FILE',
            message: expect.stringContaining('holds no certificate in PEM form'),
          },
          { variable: 'PORT', message: expect.any(String) },
        ]),
      );
    }
  });
});

describe('an empty environment', () => {
  it('is a full configuration: the defaults of the specification', () => {
    expect(loadConfiguration({})).toEqual({
      database: {
        dsn: {
          user: 'oma_user',
          password: 'oma_password',
          host: 'localhost',
          port: 3306,
          socketPath: null,
          alternatives: [],
          database: 'migratekit_oma',
          tls: false,
          ca: null,
          connectTimeoutMs: null,
          notes: [],
        },
        ca: null,
      },
      cloudstack: { ca: null, owner: null },
      http: {
        host: '127.0.0.1',
        port: 8090,
        socketPath: null,
        tokenFile: null,
        tokensFile: null,
        allowedHosts: [],
        allowInsecureBind: false,
      },
      log: { level: 'info', format: 'auto', ginMode: null },
      devices: {
        pollIntervalMs: 2_000,
        correlationTimeoutMs: 30_000,
        sizeToleranceBytes: 3 * 1024 ** 3,
        sysBlockDir: '/sys/block',
        devDir: '/dev',
        procDir: '/proc',
        dmiDir: '/sys/class/dmi/id',
        etcDir: '/etc',
      },
      appliance: { vmId: null },
      operations: {
        attachRollback: 'detach',
        detachInUse: 'refuse',
        detachConnected: 'when-idle',
        slots: 'refuse',
        volumeNames: 'warn',
        deleteMode: 'expunge',
        jobLostAfterMs: 30_000,
      },
      exports: {
        backend: 'auto',
        host: '127.0.0.1',
        port: 10_809,
        readOnlyPort: 10_810,
        configDir: '/etc/nbd-server/conf.d',
        baseConfig: '/etc/nbd-server/config',
        pidFile: '/run/nbd-server.pid',
        binary: null,
        manage: 'auto',
        unit: null,
        restartPolicy: 'preserve',
        tls: 'off',
        tlsDir: '/etc/volume-daemon/tls',
        maxConnections: 64,
        maxPerExport: 16,
        maxBytesPerSecond: 0,
        holder: null,
      },
      runDir: '/run/volume-daemon',
      stateDir: '/var/lib/volume-daemon',
      tracing: { endpoint: null, headers: {}, serviceName: 'volume-daemon' },
      credentials: { encryptionKey: null },
      reconcileIntervalMs: 60_000,
      historyDays: 90,
      notes: [],
    });
  });

  it('and so is one whose variables are all set, but empty', () => {
    const empty = Object.fromEntries(
      Object.values<Variable<unknown>>(VARIABLES).map(({ name }) => [name, '']),
    );
    expect(loadConfiguration(empty)).toEqual(loadConfiguration({}));
  });
});

describe('the table of variables', () => {
  const table: readonly Variable<unknown>[] = Object.values(VARIABLES);

  it('names each variable once, and explains it in a sentence', () => {
    const names = table.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, doc } of table) {
      expect(name).toMatch(/^[A-Z][A-Z_]+$/);
      expect(doc, name).toMatch(/\.$/);
      expect(doc, name).not.toContain('|');
    }
  });

  it('every default would be accepted if an operator wrote it down', () => {
    for (const { name, fallback } of table) {
      if (fallback !== null) expect(problemsOf({ [name]: fallback }), name).toEqual([]);
    }
  });

  it('the page says of each with bounds which they are, and both ends are taken as they are written there', () => {
    const page = readFileSync(new URL('../../../docs/reference/configuration.md', import.meta.url), 'utf8');
    const bounded = [...page.matchAll(/^\| `([A-Z_]+)` \| [^|]+ \| `(\w+)` to `(\w+)` \|/gm)];
    expect(bounded.map(([, name]) => name)).toEqual(
      expect.arrayContaining(['PORT', 'POLL_INTERVAL', 'SIZE_TOLERANCE', 'HISTORY_DAYS']),
    );
    for (const [, name = '', low = '', high = ''] of bounded) {
      const refused = (value: string) =>
        problemsOf({ NBD_BACKEND: 'nbdkit', [name]: value }).map(({ message }) => message);
      expect([...refused(low), ...refused(high)], name).toEqual([]);
      const [, number = '', unit = ''] = /^(\d+)(\D*)$/.exec(high) ?? [];
      expect(refused(`${Number(number) + 1}${unit}`), name).toEqual([
        expect.stringContaining('is not between'),
      ]);
    }
  });

  it('every variable with a rule complains under its own name', () => {
    for (const { name } of table) {
      expect(
        problemsOf({ [name]: '\u0000 !' }).map(({ variable }) => variable),
        name,
      ).toEqual([name]);
    }
  });
});

describe('values', () => {
  it.each([
    ['500ms', 500],
    ['2s', 2_000],
    ['1m', 60_000],
    ['0.75s', 750],
    ['2500', 2_500],
    [' 3s ', 3_000],
  ])('POLL_INTERVAL=%s', (text, ms) => {
    expect(loadConfiguration({ POLL_INTERVAL: text }).devices.pollIntervalMs).toBe(ms);
  });

  it.each(['2 seconds', '-2s', '1e3', '0', '499ms', '61s', 's', '9'.repeat(400)])(
    'POLL_INTERVAL=%s is refused',
    (text) => {
      expect(problemsOf({ POLL_INTERVAL: text })).toEqual([
        { variable: 'POLL_INTERVAL', message: expect.any(String) },
      ]);
    },
  );

  it('durations add up as in Go, and what is none is called none', () => {
    expect(problemsOf({ POLL_INTERVAL: '2 seconds' })).toMatchObject([
      { message: '"2 seconds" is not a duration such as 2s, 500ms or 1m30s' },
    ]);
    expect(loadConfiguration({ CORRELATION_TIMEOUT: '1m30s' }).devices.correlationTimeoutMs).toBe(90_000);
  });

  it.each([
    ['3GiB', 3 * 1024 ** 3],
    ['512 mib', 512 * 1024 ** 2],
    ['0', 0],
    ['4096', 4_096],
  ])('SIZE_TOLERANCE=%s', (text, size) => {
    expect(loadConfiguration({ SIZE_TOLERANCE: text }).devices.sizeToleranceBytes).toBe(size);
  });

  it.each(['3GB', '1.5GiB', '-1', '2000TiB', 'GiB'])('SIZE_TOLERANCE=%s is refused', (text) => {
    expect(problemsOf({ SIZE_TOLERANCE: text })).toHaveLength(1);
  });

  it('ids are lower case, folders lose their last slash, and systemd may name several folders', () => {
    expect(
      loadConfiguration({
        OMA_VM_ID: VM.toUpperCase(),
        DEV_DIR: '/lab/dev//',
        RUNTIME_DIRECTORY: '/run/a:/run/b',
      }),
    ).toMatchObject({ appliance: { vmId: VM }, devices: { devDir: '/lab/dev' }, runDir: '/run/a' });
  });

  it('a path that ends with a blank, or a DSN in quotes, names something else than what is meant', () => {
    for (const name of ['RUNTIME_DIRECTORY', 'NBD_CONFIG_DIR', 'TOKENS_FILE'])
      expect(problemsOf({ [name]: '/srv/folder ' })).toEqual([
        { variable: name, message: '"/srv/folder " ends with a blank' },
      ]);
    for (const quote of ['"', "'"])
      expect(problemsOf({ DATABASE_DSN: `${quote}oma:hunter2@tcp(db)/oma${quote}` })).toEqual([
        { variable: 'DATABASE_DSN', message: expect.stringMatching(/^it stands in quotes: leave them out/) },
      ]);
  });

  it('a unix socket has a path that is not cut: it would be somewhere else', () => {
    const path = (bytes: number) => `/${'s'.repeat(bytes - 1)}`;
    expect(problemsOf({ UNIX_SOCKET: path(107) })).toEqual([]);
    expect(problemsOf({ UNIX_SOCKET: path(108) })).toEqual([
      { variable: 'UNIX_SOCKET', message: expect.stringContaining('has 108 bytes') },
    ]);
    expect(problemsOf({ UNIX_SOCKET: `/${'ü'.repeat(60)}` })).toHaveLength(1);
  });

  it('the export server is a name on the PATH or an absolute path, nothing that a shell would split', () => {
    expect(loadConfiguration({ NBD_BINARY: '/opt/nbd/bin/nbd-server' }).exports.binary).toBe(
      '/opt/nbd/bin/nbd-server',
    );
    expect(problemsOf({ NBD_BINARY: 'nbd-server -d' })).toHaveLength(1);
  });

  it('names of hosts are compared in lower case', () => {
    expect(loadConfiguration({ ALLOWED_HOSTS: ' OMA.example.com, oma ,' }).http.allowedHosts).toEqual([
      'oma.example.com',
      'oma',
    ]);
    expect(problemsOf({ ALLOWED_HOSTS: 'oma:8090' })).toHaveLength(1);
  });

  it('the encryption key is exactly 32 bytes of base64, with and without padding', () => {
    const text = KEY.toString('base64');
    for (const form of [text, text.replace('=', ''), KEY.toString('base64url'), ` ${text}\n`])
      expect(loadConfiguration({ MIGRATEKIT_CRED_ENCRYPTION_KEY: form }).credentials.encryptionKey).toEqual(
        KEY,
      );
    for (const form of [
      'c2hvcnQ=',
      `${text}AAAA`,
      'not base64 at all, but forty-four letters..',
      KEY.toString('hex'),
    ])
      expect(problemsOf({ MIGRATEKIT_CRED_ENCRYPTION_KEY: form })).toHaveLength(1);
  });
});

describe('traces', () => {
  it('headers are name=value, percent-encoded; --check-config shows their names only', () => {
    const configuration = loadConfiguration({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example/base/',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20a%2Cb, x-tenant=7',
    });
    expect(configuration.tracing).toEqual({
      endpoint: 'https://collector.example/base/',
      headers: { authorization: 'Bearer a,b', 'x-tenant': '7' },
      serviceName: 'volume-daemon',
    });
    const { tracing } = describeConfiguration(configuration);
    expect(tracing).toMatchObject({ headers: { authorization: '***', 'x-tenant': '***' } });
  });

  it.each(['no value', 'a=%zz', 'a=b,=c', 'a=x%0d%0ay:z'])('the headers %s are refused, unshown', (text) => {
    const problem = new ConfigurationError([
      {
        variable: 'OTEL_EXPORTER_OTLP_HEADERS',
        message: expect.stringMatching(/^item \d is not name=value$/),
      },
    ]);
    expect(() => loadConfiguration({ OTEL_EXPORTER_OTLP_HEADERS: text })).toThrow(
      expect.objectContaining({ problems: problem.problems }),
    );
  });

  it.each(['collector:4318', 'grpc://x', 'http://me:secret@x', 'http://x/?key=1', 'no url'])(
    'the endpoint %s is refused',
    (text) => {
      expect(() => loadConfiguration({ OTEL_EXPORTER_OTLP_ENDPOINT: text })).toThrow(ConfigurationError);
    },
  );
});

describe('log level', () => {
  it.each([
    [{}, 'info'],
    [{ LOG_LEVEL: 'WARN' }, 'warn'],
    [{ LOG_LEVEL: 'warning' }, 'warn'],
    [{ LOG_LEVEL: 'trace' }, 'debug'],
    [{ GIN_MODE: 'debug' }, 'debug'],
    [{ GIN_MODE: 'release' }, 'info'],
    [{ GIN_MODE: 'test' }, 'info'],
    [{ GIN_MODE: 'debug', LOG_LEVEL: 'error' }, 'error'],
    [{ GIN_MODE: 'debug', LOG_LEVEL: 'info' }, 'info'],
  ])('%j', (env, level) => {
    expect(loadConfiguration(env).log.level).toBe(level);
  });
});
