import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { version } from '../../../package.json';

const ENTRY = fileURLToPath(new URL('../../../.output/server/index.mjs', import.meta.url));

/** With a configuration that is wrong: who only asks for a text needs none. */
function run(...args: string[]) {
  return runWith({ PORT: 'none' }, ...args);
}

function runWith(settings: Readonly<Record<string, string>>, ...args: string[]) {
  const env = { PATH: process.env.PATH, ...settings };
  const { status, stdout, stderr } = spawnSync(process.execPath, [ENTRY, ...args], {
    env,
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

it('the built daemon prints its version and its help, and ends', () => {
  expect(run('--version')).toEqual({ status: 0, stdout: `volume-daemon ${version}\n`, stderr: '' });
  const help = run('--help');
  expect(help).toMatchObject({ status: 0, stderr: '' });
  expect(help.stdout).toContain('DATABASE_DSN');
});

it('the built daemon does not start with an argument that it does not know', () => {
  const refused = run('--port=9000');
  expect(refused).toMatchObject({ status: 2, stdout: '' });
  expect(refused.stderr).toBe(
    'volume-daemon: unknown argument --port=9000; settings are environment variables, see --help\n',
  );
});

it.each(['--setup', '--adopt-plan', '--check-config'])(
  '%s says on the error output why the daemon cannot be built',
  (errand) => {
    const settings = { TOKEN_FILE: '/nonexistent/token', NBD_BACKEND: 'none' };
    const { status, stdout, stderr } = runWith(settings, errand);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain('TOKEN_FILE cannot be used');
  },
);

it('--adopt-plan says why there is none, and nothing else', () => {
  const settings = { NBD_BACKEND: 'none', DATABASE_DSN: 'u@tcp(127.0.0.1:1)/d' };
  const { status, stdout, stderr } = runWith(settings, '--adopt-plan');
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^The database is away: ECONNREFUSED [^\n]*\n$/);
});

it('a daemon that cannot listen names the setting, and is no programming error', () => {
  const settings = {
    UNIX_SOCKET: '/nonexistent/socket',
    NBD_BACKEND: 'none',
    DATABASE_DSN: 'u@tcp(127.0.0.1:1)/d',
  };
  const { status, stdout } = runWith(settings);
  expect(status).toBe(1);
  expect(stdout).toContain('"reason":"UNIX_SOCKET: the folder of /nonexistent/socket is not there');
  expect(stdout).not.toContain('programming error');
});
