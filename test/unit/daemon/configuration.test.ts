import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makePrivateCa } from '~/lab/certificates';
import type { Problem } from '~/server/daemon/configuration/check-together';
import {
  ConfigurationError,
  describeConfiguration,
  loadConfiguration,
} from '~/server/daemon/configuration/configuration';
import type { Variable } from '~/server/daemon/configuration/variable';
import { VARIABLES } from '~/server/daemon/configuration/variables';

const VM = '11111111-2222-4333-8444-abcdefabcdef';
const KEY = Buffer.alloc(32, 0xfb);

function problemsOf(env: Record<string, string | undefined>): readonly Problem[] {
  try {
    loadConfiguration(env);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

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

describe('mistakes', () => {
  it('are reported all at once, each under its variable, with what is allowed', () => {
    const env = {
      DATABASE_DSN: 'nonsense',
      PORT: '70000',
      LOG_LEVEL: 'loud',
      NBD_BACKEND: 'iscsi',
      OMA_VM_ID: '42',
      HOST: '0.0.0.0',
      STATE_DIRECTORY: 'var/lib',
    };
    const problems = new Map(problemsOf(env).map(({ variable, message }) => [variable, message]));
    expect([...problems.keys()].sort()).toEqual(Object.keys(env).sort());
    expect(problems.get('LOG_LEVEL')).toBe('"loud" is not one of debug, info, warn, error');
    expect(problems.get('NBD_BACKEND')).toContain('auto, nbdkit, nbd-server, none');
    expect(problems.get('PORT')).toContain('between 1 and 65535');
    expect(() => loadConfiguration(env)).toThrow(/PORT: .*; .*LOG_LEVEL: /);
  });

  it('the retired export server is refused with what to do instead', () => {
    for (const value of ['qemu-storage-daemon', 'storage-daemon', 'QSD'])
      expect(problemsOf({ NBD_BACKEND: value })).toEqual([
        {
          variable: 'NBD_BACKEND',
          message: expect.stringMatching(/no longer there: set NBD_BACKEND=nbdkit/),
        },
      ]);
  });

  it('TLS needs nbdkit', () => {
    expect(problemsOf({ NBD_BACKEND: 'nbd-server', NBD_TLS: 'require' })).toMatchObject([
      { variable: 'NBD_TLS', message: expect.stringContaining('NBD_BACKEND=nbdkit') },
    ]);
    expect(problemsOf({ NBD_TLS: 'require' })).toMatchObject([{ variable: 'NBD_TLS' }]);
    expect(problemsOf({ NBD_BACKEND: 'nbdkit', NBD_TLS: 'require' })).toEqual([]);
  });

  it('a limit of bytes a second needs nbdkit', () => {
    for (const backend of [{}, { NBD_BACKEND: 'nbd-server' }])
      expect(problemsOf({ ...backend, NBD_MAX_BYTES_PER_SECOND: '1' })).toMatchObject([
        { variable: 'NBD_MAX_BYTES_PER_SECOND', message: expect.stringContaining('NBD_BACKEND=nbdkit') },
      ]);
    expect(problemsOf({ NBD_BACKEND: 'nbdkit', NBD_MAX_BYTES_PER_SECOND: '1' })).toEqual([]);
  });

  it('two of the ports are the same, where nbdkit listens on both of its own', () => {
    const nbdkit = { NBD_BACKEND: 'nbdkit' };
    const taken = (variable: string, by: string) => ({
      variable,
      message: expect.stringContaining(` ${by} `),
    });
    expect(problemsOf({ ...nbdkit, NBD_PORT: '10810' })).toEqual([taken('NBD_READ_ONLY_PORT', 'NBD_PORT')]);
    expect(problemsOf({ ...nbdkit, PORT: '10809' })).toEqual([taken('NBD_PORT', 'PORT')]);
    expect(problemsOf({ ...nbdkit, NBD_READ_ONLY_PORT: '8090', NBD_HOST: 'localhost' })).toEqual([
      taken('NBD_READ_ONLY_PORT', 'PORT'),
    ]);
    // nbd-server has one port, and another address has ports of its own.
    expect(problemsOf({ NBD_BACKEND: 'nbd-server', NBD_PORT: '10810' })).toEqual([]);
    expect(problemsOf({ ...nbdkit, NBD_PORT: '8090', NBD_HOST: '10.0.0.5' })).toEqual([]);
    expect(problemsOf({ ...nbdkit, NBD_PORT: '8090', UNIX_SOCKET: '/run/vd.sock' })).toEqual([]);
  });

  it('never show a secret', () => {
    const env = { DATABASE_DSN: 'u:hunter2@udp(db)/d', MIGRATEKIT_CRED_ENCRYPTION_KEY: 'hunter2' };
    expect(problemsOf(env)).toHaveLength(2);
    expect(JSON.stringify(problemsOf(env))).not.toContain('hunter2');
  });

  it('stay on one line, however long and odd the value is', () => {
    const [problem] = problemsOf({ LOG_FORMAT: `x\nPORT: forged${'y'.repeat(10_000)}` });
    expect(problem?.message).not.toContain('\n');
    expect(problem?.message.length).toBeLessThan(200);
  });
});

describe('where the server may listen', () => {
  it('an address of one link is one together with its interface, whose name is left as it is', () => {
    const open = { ALLOW_INSECURE_BIND: 'true' };
    expect(loadConfiguration({ ...open, HOST: 'FE80::1%enP1s0' }).http.host).toBe('fe80::1%enP1s0');
    for (const variable of ['HOST', 'NBD_HOST'])
      expect(problemsOf({ ...open, [variable]: 'fe80::1' })).toEqual([
        { variable, message: expect.stringContaining('name the interface too, like fe80::1%eth0') },
      ]);
  });

  it.each(['127.0.0.1', '127.8.8.8', '::1', 'localhost', 'LOCALHOST'])('%s needs no token', (host) => {
    expect(problemsOf({ HOST: host })).toEqual([]);
  });

  it.each(['0.0.0.0', '::', '10.0.0.5', 'oma.example.com', '127.example.com', '::ffff:127.0.0.1'])(
    '%s needs one',
    (host) => {
      expect(problemsOf({ HOST: host })).toEqual([
        { variable: 'HOST', message: expect.stringMatching(/TOKEN_FILE.*ALLOW_INSECURE_BIND=true/) },
      ]);
      expect(problemsOf({ HOST: host, TOKEN_FILE: '/etc/volume-daemon/token' })).toEqual([]);
      expect(problemsOf({ HOST: host, ALLOW_INSECURE_BIND: 'true' })).toEqual([]);
      expect(problemsOf({ HOST: host, ALLOW_INSECURE_BIND: 'false' })).toHaveLength(1);
      expect(problemsOf({ HOST: host, UNIX_SOCKET: '/run/volume-daemon/api.sock' })).toEqual([]);
    },
  );

  it('the variables of Nitro, which would go around this, are refused', () => {
    expect(problemsOf({ NITRO_HOST: '0.0.0.0', NITRO_PORT: '80', NITRO_UNIX_SOCKET: '/tmp/s' })).toEqual([
      { variable: 'NITRO_HOST', message: 'is not read; use HOST' },
      { variable: 'NITRO_PORT', message: 'is not read; use PORT' },
      { variable: 'NITRO_UNIX_SOCKET', message: 'is not read; use UNIX_SOCKET' },
    ]);
    expect(problemsOf({ NITRO_SSL_CERT: 'cert', NITRO_SSL_KEY: 'key' })).toEqual([
      { variable: 'NITRO_SSL_CERT', message: 'is not read; use a TLS proxy before the daemon' },
      { variable: 'NITRO_SSL_KEY', message: 'is not read; use a TLS proxy before the daemon' },
    ]);
  });
});

describe('notes', () => {
  it('say what is set and has no effect, without values', () => {
    const configuration = loadConfiguration({
      DATABASE_DSN: 'u:p@tcp(db)/d?multiStatements=true',
      DB_PASS: 'hunter2',
    });
    expect(configuration.notes).toEqual(['DB_PASS is not read; the daemon uses DATABASE_DSN']);
    expect(describeConfiguration(configuration)).toMatchObject({
      notes: configuration.notes,
      database: { notes: ['multiStatements is ignored on purpose: one statement per query'] },
    });
  });
});

describe('a mistyped name', () => {
  const notesOf = (env: Record<string, string>) => loadConfiguration(env).notes;

  it.each([
    ['NBD_BACKND', 'NBD_BACKEND'],
    ['DATABASE_DNS', 'DATABASE_DSN'],
    ['TOKENS_FLIE', 'TOKENS_FILE'],
    ['DETACH_INUSE', 'DETACH_IN_USE'],
    ['NBD_TSL', 'NBD_TLS'],
    ['log_level', 'LOG_LEVEL'],
    ['LOGLEVEL', 'LOG_LEVEL'],
    ['HOSTS', 'HOST'],
  ])('%s is named with %s, which was meant', (name, meant) => {
    expect(notesOf({ [name]: 'hunter2' })).toEqual([
      `${name} is not a setting, and is not read; did you mean ${meant}?`,
    ]);
  });

  it('is named without a guess where it is like no setting and can only be meant for the daemon', () => {
    expect(notesOf({ NBD_QMP_SOCKET: '/run/qmp', CLOUDSTACK_API_KEY: 'hunter2' })).toEqual([
      'NBD_QMP_SOCKET is not a setting, and is not read',
      'CLOUDSTACK_API_KEY is not a setting, and is not read',
    ]);
  });

  it('is none where other programs, systemd or Node have it, or where it is empty', () => {
    const others =
      'HOME HOSTNAME PATH PWD USER LOGNAME LANG SHELL TERM INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID ' +
      'NOTIFY_SOCKET LISTEN_FDS CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY ' +
      'NODE_ENV NODE_OPTIONS NODE_EXTRA_CA_CERTS MALLOC_ARENA_MAX UV_THREADPOOL_SIZE NITRO_SHUTDOWN_TIMEOUT TZ ' +
      'OTEL_EXPORTER_OTLP_TIMEOUT OTEL_EXPORTER_OTLP_PROTOCOL OTEL_RESOURCE_ATTRIBUTES VOLUMECTL_URL';
    const set = Object.fromEntries(others.split(' ').map((name) => [name, 'x']));
    expect(notesOf({ ...set, NBD_BACKND: '' })).toEqual([]);
  });

  it('is said also where the daemon does not start for want of what was meant', () => {
    expect(() => loadConfiguration({ HOST: '0.0.0.0', TOKENS_FLIE: '/etc/tokens.json' })).toThrow(
      expect.objectContaining({
        problems: [{ variable: 'HOST', message: expect.stringContaining('set TOKENS_FILE') }],
        notes: ['TOKENS_FLIE is not a setting, and is not read; did you mean TOKENS_FILE?'],
      }),
    );
  });
});

describe('--check-config', () => {
  it('shows everything but the secrets', () => {
    const shown = describeConfiguration(
      loadConfiguration({
        DATABASE_DSN: 'u:hunter2@tcp(db:3307)/d?tls=true',
        MIGRATEKIT_CRED_ENCRYPTION_KEY: KEY.toString('base64'),
        OMA_VM_ID: VM,
      }),
    );
    expect(shown).toMatchObject({
      database: { dsn: 'u:***@tcp(db:3307)/d', password: '***', tls: true },
      credentials: { encryptionKey: '***' },
      appliance: { vmId: VM },
      http: { port: 8090 },
    });
    const text = JSON.stringify(shown);
    expect(text).not.toContain('hunter2');
    expect(text).not.toContain(KEY.toString('base64'));
    expect(text).not.toContain(JSON.stringify([...KEY]));
  });

  it('tells an absent secret from a masked one', () => {
    expect(describeConfiguration(loadConfiguration({ DATABASE_DSN: 'u@unix(/run/m.sock)/d' }))).toMatchObject(
      {
        database: { dsn: 'u@unix(/run/m.sock)/d', password: null },
        credentials: { encryptionKey: null },
      },
    );
  });
});
