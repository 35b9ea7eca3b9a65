import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findNoun, loneVerb } from '~/cli/tree';
import { DOCUMENTS } from '~/scripts/docs-content';
import { vmPhase } from '~/server/cloudstack/vm-states';
import { neededCommands } from '~/server/diagnostics/needs';

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

it.each(['docs/guides/runbooks.md', 'docs/reference/cloudstack.md', 'docs/reference/correlation.md'])(
  '%s names commands that there are',
  (path) => {
    const lines = [...read(path).matchAll(/volumectl ([a-z]+)(?: ([a-z][a-z-]*))?/g)];
    expect(lines.length).toBeGreaterThan(3);
    const unknown = lines.filter(([, first = '', second]) => {
      const noun = findNoun(first);
      if (noun && loneVerb(noun)) return false;
      return !noun?.verbs.some(({ name }) => name === second);
    });
    expect(unknown.map(([line]) => line)).toEqual([]);
  },
);

describe('documents made from code', () => {
  it.each(DOCUMENTS)('%s says what the code says (else: npm run docs)', (path, content) => {
    expect(read(path)).toBe(content());
  });
});
