import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GLOBALS } from '~/cli/globals';
import { findNoun, loneVerb } from '~/cli/tree';
import { DOCUMENTS } from '~/scripts/docs-content';
import { vmPhase } from '~/server/cloudstack/vm-states';
import { ERRORS } from '~/server/core/errors';
import * as LOG_EVENTS from '~/server/core/log/log-events';
import { neededCommands } from '~/server/diagnostics/needs';
import { DRIFT_KINDS } from '~/server/sync/drift';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

it('SECURITY.md names tests that there are', () => {
  const named = [...read('SECURITY.md').matchAll(/`((?:unit|contract|integration|browser)\/[\w/-]+)`/g)];
  expect(named.length).toBeGreaterThan(20);
  const missing = named
    .map(([, path = '']) => path)
    .filter(
      (path) => ![path, `${path}.test.ts`].some((at) => existsSync(new URL(`../../${at}`, import.meta.url))),
    );
  expect([...new Set(missing)]).toEqual([]);
});

it('docs/proofs/guarantees.md names tests that there are', () => {
  const named = [...read('docs/proofs/guarantees.md').matchAll(/`(test\/[\w/.-]+\.test\.ts)`/g)];
  expect(named.length).toBeGreaterThan(20);
  const missing = named.filter(([, path = '']) => !existsSync(new URL(`../../../${path}`, import.meta.url)));
  expect(missing.map(([, path]) => path)).toEqual([]);
});

it('docs/reference/cloudstack.md names every command that is sent, and what each state of a VM means', () => {
  const text = read('docs/reference/cloudstack.md');
  const named = neededCommands('trash', null).map(({ name }) => name);
  expect([...named, 'recoverVolume'].filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  const rows = [...text.matchAll(/^\| (running|still|moving|gone) \| ([^|]+) \|/gm)];
  const states = rows.flatMap(([, phase, list = '']) => list.split(', ').map((state) => [state, phase]));
  expect(states.length).toBeGreaterThan(8);
  for (const [state = '', phase] of states) expect(vmPhase(state.replaceAll('`', '')), state).toBe(phase);
});

const GUIDES = ['docs/guides', 'docs/reference', 'docs/proofs'].flatMap((folder) =>
  readdirSync(new URL(`../../../${folder}`, import.meta.url))
    .filter((name) => name.endsWith('.md') && name !== 'cli.md')
    .map((name) => `${folder}/${name}`),
);
/** `volumectl` and what follows it, up to the end of the command. */
const COMMAND = /\bvolumectl ([a-z]+)(?: ([a-z][a-z-]*))?([^`\n#|;&*]*)/g;

it('every command and option of volumectl that a document or an error names is there', () => {
  const texts = ['README.md', ...GUIDES, 'packaging/prometheus/volume-daemon.rules.yml']
    .map((path) => [path, read(path)] as const)
    .concat(Object.entries(ERRORS).map(([code, { fix }]) => [code, fix] as const));
  const lines = texts.flatMap(([from, text]) =>
    [...text.matchAll(COMMAND)].map((match) => [from, match] as const),
  );
  expect(lines.length).toBeGreaterThan(80);
  const unknown = lines.filter(([, [, first = '', second, rest = '']]) => {
    const noun = findNoun(first);
    // `volumectl token`: the noun alone stands for its commands.
    if (noun && second === undefined) return false;
    const verb = noun && (loneVerb(noun) ?? noun.verbs.find(({ name }) => name === second));
    const [own = ''] = rest.split('volumectl');
    const options = [...own.matchAll(/(?<= )--([a-z-]+)/g)].map(([, name = '']) => name);
    return !verb || options.some((name) => !(name in verb.args || name in GLOBALS || name === 'no-headers'));
  });
  expect(unknown.map(([from, [line]]) => `${from}: ${line}`)).toEqual([]);
});

it('docs/reference/correlation.md has a row for every drift', () => {
  const text = read('docs/reference/correlation.md');
  const first = new Set([...text.matchAll(/^\| `([a-z-]+)`/gm)].map(([, word = '']) => word));
  expect(DRIFT_KINDS.filter((kind) => !first.has(kind))).toEqual([]);
});

it('docs/guides/monitoring.md quotes lines of the log that there are, all errors and those of the specification among them', () => {
  const [, chapter = ''] = read('docs/guides/monitoring.md').split('## The log');
  const [rows = ''] = chapter.split('## Traces');
  const cells = [...rows.matchAll(/^\| (`.+`) \| /gm)].flatMap(([, cell = '']) =>
    cell.slice(1, -1).split('`, `'),
  );
  const quoted = cells.filter((text) => text !== 'msg');
  const sources = ['server', 'plugins', 'tasks']
    .flatMap((folder) =>
      readdirSync(new URL(`../../../${folder}`, import.meta.url), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts'))
        .map((path) => read(`${folder}/${path}`)),
    )
    .join('\n');
  expect(quoted.filter((text) => !sources.includes(`'${text}'`))).toEqual([]);
  expect(quoted).toEqual(expect.arrayContaining(Object.values(LOG_EVENTS)));
  const errors = [...sources.matchAll(/[lL]ogger(?:\(\))?\.error\(\s*'([^']+)'/g)].map(
    ([, text = '']) => text,
  );
  expect(errors.length).toBeGreaterThan(10);
  expect(errors.filter((text) => !quoted.includes(text))).toEqual([]);
});

describe('documents made from code', () => {
  it.each(DOCUMENTS)('%s says what the code says (else: npm run docs)', (path, content) => {
    expect(read(path)).toBe(content());
  });
});
