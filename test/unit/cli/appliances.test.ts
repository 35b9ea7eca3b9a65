import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findTarget } from '~/cli/globals';

const dir = mkdtempSync(join(tmpdir(), 'volumectl-appliances-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const CONFIG = join(dir, 'config.yaml');
const FILE = `
default: east
appliances:
  east: { url: "http://10.0.0.5:8090", token-file: east.token }
  west:
    socket: /run/west.sock
    token-file: ~/west.token
  open: { url: https://open.example }
`;

function target(given: object, env: NodeJS.ProcessEnv = {}, content: string | null = FILE) {
  rmSync(CONFIG, { force: true });
  if (content !== null) writeFileSync(CONFIG, content);
  const found = findTarget(given, {
    HOME: '/home/u',
    VOLUMECTL_CONFIG: CONFIG,
    VOLUMECTL_DEFAULTS: join(dir, 'none'),
    ...env,
  });
  return { at: found.socket ?? found.url.origin, token: found.tokenFile };
}

describe('several appliances', () => {
  it.each([
    [{}, {}, 'http://10.0.0.5:8090', join(dir, 'east.token')],
    [{ appliance: 'west' }, {}, '/run/west.sock', '/home/u/west.token'],
    [{}, { VOLUMECTL_APPLIANCE: 'west' }, '/run/west.sock', '/home/u/west.token'],
    [
      { appliance: 'east' },
      { VOLUMECTL_URL: 'http://other:1' },
      'http://10.0.0.5:8090',
      join(dir, 'east.token'),
    ],
    [{ appliance: 'west', tokenFile: '/given' }, {}, '/run/west.sock', '/given'],
  ])('given %j, environment %j: %s with %s', (given, env, at, token) => {
    expect(target(given, env)).toEqual({ at, token });
  });

  it('the token of an appliance goes to that appliance only, and no other token goes to it', () => {
    expect(target({ url: 'http://x' }).token).toBeNull();
    expect(target({}, { VOLUMECTL_URL: 'http://x' }).token).toBeNull();
    expect(target({ appliance: 'open' }, { VOLUMECTL_TOKEN_FILE: '/env' }).token).toBeNull();
  });

  it('without a file there is this machine, and no other', () => {
    expect(target({}, {}, null)).toEqual({ at: 'http://127.0.0.1:8090', token: null });
    expect(() => target({ appliance: 'east' }, {}, null)).toThrow('there is no appliance east');
  });

  it.each([
    ['appliances: { a: { url: "http://a", tokenfile: t } }', 'a has no tokenfile; it may have url, socket'],
    ['appliances: { a: { url: "http://a", socket: /s } }', 'either a url or a socket'],
    ['appliances: { a: {} }', 'either a url or a socket'],
    ['appliances: { a: { url: 7 } }', 'url of a is not a text'],
    ['appliances: [a]', 'appliances is not a list of names'],
    ['default: b\nappliances: { a: { url: "http://a" } }', 'default names b'],
    ['applainces: {}', 'it has no applainces'],
    ['appliances: {a', 'is not understood'],
  ])('%j is refused: %s', (content, says) => {
    expect(() => target({}, {}, content)).toThrow(says);
  });

  it('contradictions and misspelt names are refused', () => {
    expect(() => target({ appliance: 'east', url: 'http://x' })).toThrow('contradict');
    expect(() => target({ appliance: 'esat' })).toThrow('did you mean east?');
  });
});
