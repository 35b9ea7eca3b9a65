import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MUTANTS } from '~/test/simulation/mutants';

const textOf = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');

it.each(MUTANTS)(
  'the place of the planted fault $name is in its file exactly once',
  ({ file, find, replace }) => {
    expect(textOf(file).split(find)).toHaveLength(2);
    expect(replace).not.toBe(find);
  },
);

it('planted faults have names of their own', () => {
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
});
