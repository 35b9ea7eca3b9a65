import { describe, expect, it } from 'vitest';
import { describeConfiguration, loadConfiguration } from '~/server/daemon/configuration/configuration';
import { problemsOf } from './problems-of';

const VM = '11111111-2222-4333-8444-abcdefabcdef';
const KEY = Buffer.alloc(32, 0xfb);

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
