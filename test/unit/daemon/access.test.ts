import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { digestOf, newToken, parseTokens, type Role, tokensText } from '~/server/daemon/access/tokens';
import { tokenAccess } from '~/test/support/token-access';

const createdAt = '2026-01-15T12:00:00.000Z';
const stored = (name: string, role: Role) => ({ name, role, sha256: digestOf(`token-${name}`), createdAt });

let folder: string;
let elapsed: number;
const clock = { ...systemClock, now: () => Date.parse(createdAt) + elapsed, monotonic: () => elapsed };
const tokensFile = () => join(folder, 'tokens.json');
const write = (text: string) => writeFileSync(tokensFile(), text);
const aSecondLater = () => {
  elapsed += LIMITS.TOKENS_LOOK_MS;
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'access-'));
  elapsed = 0;
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('without tokens', () => {
  it('everybody may do everything', () => {
    const access = tokenAccess({});
    expect(access.identify(undefined)).toEqual({ name: 'anonymous', role: 'admin' });
    expect(access.health()).toMatchObject({ status: 'disabled' });
  });
});

describe('TOKEN_FILE', () => {
  const tokenFile = () => join(folder, 'token');

  it('is read without the line end, and its token may do everything', () => {
    writeFileSync(tokenFile(), 'open\n');
    const access = tokenAccess({ tokenFile: tokenFile() });
    expect(access.identify('open')).toEqual({ name: 'token-file', role: 'admin' });
    expect([access.identify('open '), access.identify(''), access.identify(undefined)]).toEqual([
      null,
      null,
      null,
    ]);
  });

  it('that is missing or empty lets the daemon not start', () => {
    expect(() => tokenAccess({ tokenFile: tokenFile() })).toThrow(/ENOENT/);
    writeFileSync(tokenFile(), ' \n');
    expect(() => tokenAccess({ tokenFile: tokenFile() })).toThrow(/is empty/);
  });

  it('that no request could send lets the daemon not start: it would let nobody in', () => {
    const read = () => tokenAccess({ tokenFile: tokenFile() });
    writeFileSync(tokenFile(), 'two\nlines\n');
    expect(read).toThrow(/holds something else than one token/);
    writeFileSync(tokenFile(), Buffer.from('schl\u00fcssel', 'latin1'));
    expect(read).toThrow(/holds something else than one token/);
  });

  it('that is no file holds nothing up', () => {
    execFileSync('mkfifo', [tokenFile()]);
    expect(() => tokenAccess({ tokenFile: tokenFile() })).toThrow(/is not a file/);
    expect(() => tokenAccess({ tokenFile: '/dev/zero' })).toThrow(/is not a file/);
  });

  it('goes on working beside named tokens', () => {
    writeFileSync(tokenFile(), 'open');
    write(tokensText([stored('hub', 'operate')]));
    const access = tokenAccess({ tokenFile: tokenFile(), tokensFile: tokensFile() });
    expect([access.identify('open')?.role, access.identify('token-hub')?.role]).toEqual(['admin', 'operate']);
    expect(access.identify('token-other')).toBeNull();
  });
});

describe('TOKENS_FILE', () => {
  it('without a file lets nobody in, says so, and takes the file when it is there', () => {
    const access = tokenAccess({ tokensFile: tokensFile() }, clock);
    expect(access.identify('token-hub')).toBeNull();
    expect(access.health()).toMatchObject({
      status: 'unhealthy',
      message: expect.stringContaining('ENOENT'),
    });
    write(tokensText([stored('hub', 'operate')]));
    aSecondLater();
    expect(access.identify('token-hub')).toMatchObject({ name: 'hub', role: 'operate' });
    expect(access.health()).toMatchObject({ status: 'healthy', message: `1 token of ${tokensFile()}` });
  });

  it('is read again when it has changed: what is revoked ends within a second', () => {
    write(tokensText([stored('hub', 'operate'), stored('spy', 'read')]));
    const access = tokenAccess({ tokensFile: tokensFile() }, clock);
    expect(access.identify('token-spy')?.name).toBe('spy');
    write(tokensText([stored('hub', 'admin')]));
    aSecondLater();
    expect(access.identify('token-spy')).toBeNull();
    expect(access.identify('token-hub')?.role).toBe('admin');
  });

  it.each([
    ['half-written', tokensText([stored('hub', 'operate')]).slice(0, -9)],
    ['emptied', ''],
    ['of something else', '{"tokens":[{"name":"hub","role":"root"}]}'],
    ['too long', ' '.repeat(LIMITS.TOKENS_FILE_BYTES + 1)],
  ])('%s keeps what was read before, and says so until it is mended', (_, text) => {
    write(tokensText([stored('hub', 'operate')]));
    const access = tokenAccess({ tokensFile: tokensFile() }, clock);
    write(text);
    aSecondLater();
    expect(access.identify('token-hub')?.role).toBe('operate');
    expect(access.health()).toMatchObject({
      status: 'degraded',
      message: expect.stringContaining(`1 token of ${createdAt} still hold`),
    });
    write(tokensText([]));
    aSecondLater();
    expect(access.health()).toMatchObject({ status: 'healthy' });
    expect(access.identify('token-hub')).toBeNull();
  });
});

describe('the file', () => {
  it.each([
    ['a name twice', [stored('hub', 'read'), stored('hub', 'admin')], /name twice/],
    ['a name of the daemon itself', [stored('anonymous', 'read')], /uses itself/],
    ['a name that is none', [stored('Hub 1', 'read')], /a name has/],
    ['a token instead of its digest', [{ ...stored('hub', 'read'), sha256: 'token-hub' }], /SHA-256/],
  ])('with %s is refused as a whole, and not quoted', (_, tokens, message) => {
    expect(() => parseTokens(tokensText(tokens))).toThrow(message);
    expect(() => parseTokens(tokensText(tokens))).not.toThrow(/token-hub/);
  });

  it('comes back as it was written', () => {
    const tokens = [stored('hub', 'operate'), stored('prometheus', 'read')];
    expect(parseTokens(tokensText(tokens))).toEqual(tokens);
  });

  it('tokens are long, and never the same', () => {
    const tokens = Array.from({ length: 100 }, newToken);
    expect(new Set(tokens).size).toBe(100);
    for (const token of tokens) expect(token).toMatch(/^vmd_[\w-]{43}$/);
  });
});
