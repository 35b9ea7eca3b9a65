import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tokenAccess } from '~/test/support/token-access';
import { volumectl } from './process';

/** The built volumectl writes the file, and the daemon's own code reads it. */
let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tokens-'));
  file = join(folder, 'etc', 'tokens.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

const ctl = (...args: string[]) => volumectl(args, { TOKENS_FILE: file });
const identify = (token: string) => tokenAccess({ tokensFile: file }).identify(token.trim());

describe('volumectl token', () => {
  it('makes a token that the daemon knows, shows it once, and takes it back', async () => {
    const made = await ctl('token', 'create', 'hub', '--role', 'operate');
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^vmd_[\w-]{43}\n$/) });
    expect(identify(made.out)).toMatchObject({ name: 'hub', role: 'operate' });
    expect(readFileSync(file, 'utf8')).not.toContain(made.out.trim());
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const listed = await ctl('token', 'list');
    expect(listed.out).toMatch(/^hub +operate /m);
    expect((await ctl('token', 'list', '--json')).out).not.toContain('sha256');
    expect((await ctl('token', 'revoke', 'hub')).code).toBe(0);
    expect(identify(made.out)).toBeNull();
  });

  it('refuses a name that is taken, unknown roles, and to revoke what is not there', async () => {
    expect((await ctl('token', 'create', 'hub', '--role', 'read')).code).toBe(0);
    const before = readFileSync(file, 'utf8');
    expect(await ctl('token', 'create', 'hub', '--role', 'admin')).toMatchObject({
      code: 3,
      error: expect.stringContaining('a token hub already'),
    });
    expect((await ctl('token', 'create', 'other', '--role', 'root')).code).toBe(2);
    expect((await ctl('token', 'create', 'anonymous', '--role', 'read')).code).toBe(2);
    expect((await ctl('token', 'revoke', 'nobody')).code).toBe(3);
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  it('a file that is not understood is not overwritten, and two changes do not cross', async () => {
    await ctl('token', 'create', 'hub', '--role', 'read');
    writeFileSync(file, '{"tokens":[');
    expect(await ctl('token', 'create', 'other', '--role', 'read')).toMatchObject({
      code: 3,
      error: expect.stringContaining('cannot be understood'),
    });
    expect(readFileSync(file, 'utf8')).toBe('{"tokens":[');
    writeFileSync(`${file}.new`, '');
    expect(await ctl('token', 'revoke', 'hub')).toMatchObject({
      code: 3,
      error: expect.stringContaining('somebody else is changing the tokens'),
    });
    expect(existsSync(`${file}.new`)).toBe(true);
  });
});
