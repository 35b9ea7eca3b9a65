import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { daemonEnvironment } from '~/cli/daemon-program';
import { ignoredSettings, parseEnvironmentFile, unreadableBecause } from '~/cli/environment-file';
import { Failure } from '~/cli/exit';
import { defaultsNotes, readDefaults } from '~/cli/globals';

describe('an environment file is read as systemd reads it', () => {
  it.each([
    ['# in the password', 'A=oma:pa#ss@tcp(h)/db', 'oma:pa#ss@tcp(h)/db'],
    ['# after a space', 'A=one # two', 'one # two'],
    ['spaces inside and around', 'A =  one  two \t', 'one  two'],
    ['no value', 'A=', ''],
    ['a value with =', 'A=b=c', 'b=c'],
    ['quotes inside', "A=it\"s 'so'", "it\"s 'so'"],
    ['single quotes', "A=' a\\b #\"c ' ", ' a\\b #"c '],
    ['double quotes', 'A=" a\\"b\\\\c\\$d\\x\'e " ', ' a"b\\c$d\\x\'e '],
    ['quotes over lines', 'A="one\ntwo\\\nthree"', 'one\ntwothree'],
    ['quotes, then more', 'A="one "two \nB=1', 'one two'],
    ['quotes that are never closed', 'A="one', 'one'],
    ['and end in a backslash', 'A="one\\', 'one'],
    ['a backslash', 'A=a\\b\\\\c\\ ', 'ab\\c '],
    ['a backslash at the end', 'A=a\\', 'a'],
    ['a line that goes on', 'A=one \\\n two\nB=1', 'one  two'],
    ['the last one counts', 'A=1\nA=2', '2'],
    ['line ends of Windows', 'A=1\r\nB=2\r\n', '1'],
    ['after what is no assignment', '\n  # A=0\n;A=0\nnothing\n=0\n\n  A=1', '1'],
    ['after an empty one', 'B=\nA=1', '1'],
  ])('%s: %j', (_, content, value) => {
    expect(parseEnvironmentFile(content).A).toBe(value);
  });

  it('leaves out what is no name, and comments', () => {
    expect(parseEnvironmentFile('export A=1\n1B=2\n#C=3\\\nD=4\n A-B=5\n')).toEqual({ D: '4' });
  });
});

describe('what systemd ignores of it', () => {
  it('is named where something stands before the name', () => {
    const content =
      '\uFEFFDATABASE_DSN=a\n# export B=1\nexport PORT=8091\n export\tHOST = "x\ny"\nLOG_LEVEL=debug\n';
    expect(ignoredSettings(content)).toEqual([
      { name: 'DATABASE_DSN', because: 'of the byte order mark before it' },
      { name: 'PORT', because: 'of the "export" before it' },
      { name: 'HOST', because: 'of the "export" before it' },
    ]);
    expect(parseEnvironmentFile(content)).toEqual({ LOG_LEVEL: 'debug' });
  });

  it('is not told where it may be a secret', () => {
    expect(ignoredSettings('DATABASE_DSN: oma:secret@tcp(h)/db?parseTime=true\n1A=2\n')).toEqual([]);
  });
});

describe('what is read from it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'environment-file-'));
  const file = join(folder, 'volume-daemon');
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is the environment of the daemon, and where it listens', () => {
    writeFileSync(file, 'DATABASE_DSN=oma:pa#ss@tcp(h)/db\nUNIX_SOCKET="/run/a b"\nHOST=\n');
    vi.stubEnv('VOLUMECTL_DEFAULTS', file);
    // The shell of whoever asks may have another database in mind; the service does not know it.
    vi.stubEnv('DATABASE_DSN', 'hub:x@tcp(elsewhere)/other');
    expect(daemonEnvironment()).toMatchObject({ DATABASE_DSN: 'oma:pa#ss@tcp(h)/db' });
    expect(readDefaults()).toMatchObject({ UNIX_SOCKET: '/run/a b' });
    expect(readDefaults().HOST).toBeUndefined();
  });

  it('is a matter for root where this user may not read it, and no mistake of volumectl', () => {
    vi.stubEnv('VOLUMECTL_DEFAULTS', tmpdir());
    expect(daemonEnvironment).toThrow(Failure);
    vi.stubEnv('VOLUMECTL_DEFAULTS', join(tmpdir(), 'nonexistent'));
    expect(daemonEnvironment()).toMatchObject({ PATH: process.env.PATH });
  });
});

it.each([
  ['a NUL byte in a value', 'DATABASE_DSN=oma:sec\0ret@tcp(h)/db\n'],
  ['UTF-16', `\ufeff${[...'LOG_LEVEL=debug'].join('\0')}\0`],
])('a file that is no text is refused, and nothing of it is shown: %s', (_, content) => {
  const dir = mkdtempSync(join(tmpdir(), 'volumectl-no-text-'));
  const path = join(dir, 'defaults');
  writeFileSync(path, content);
  vi.stubEnv('VOLUMECTL_DEFAULTS', path);
  const because = 'it has NUL bytes, as UTF-16 does';
  expect(daemonEnvironment).toThrow(`systemd reads nothing of ${path}, because ${because}`);
  expect(defaultsNotes()).toEqual([`nothing in ${path} has an effect, because ${because}`]);
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

it.each([
  ['a value', '# f\u00fcr\nTOKEN_FILE=/t\nNBD_TLS_DIR=/schl\u00fcssel\n', 'NBD_TLS_DIR is not UTF-8'],
  ['a name', 'SCHL\u00dcSSEL=1\n', 'a name in it is not UTF-8'],
  ['only comments', '# f\u00fcr alle\nfreie Zeile \u00fc\nPORT=1\n', null],
])('in Latin-1, %s: systemd reads nothing of a file with such a setting', (_, content, because) => {
  expect(unreadableBecause(Buffer.from(content, 'latin1').toString('utf8'))).toBe(because);
  expect(unreadableBecause(content)).toBeNull();
});

it('a pipe in place of the file holds nobody', () => {
  const dir = mkdtempSync(join(tmpdir(), 'volumectl-pipe-'));
  const path = join(dir, 'defaults');
  execFileSync('mkfifo', [path]);
  vi.stubEnv('VOLUMECTL_DEFAULTS', path);
  expect(daemonEnvironment).toThrow('is not a file');
  expect(readDefaults()).toEqual({});
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});
