import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DOCUMENTS } from '~/scripts/docs-content';

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

describe('documents made from code', () => {
  it.each(DOCUMENTS)('%s says what the code says (else: npm run docs)', (path, content) => {
    expect(read(path)).toBe(content());
  });
});
