import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configurationDoc, errorsDoc } from '~/scripts/docs-content';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

describe('documents made from code', () => {
  it('docs/configuration.md says what the typed module says', () => {
    expect(read('docs/configuration.md')).toBe(configurationDoc());
  });

  it('docs/errors.md says what the error catalogue says', () => {
    expect(read('docs/errors.md')).toBe(errorsDoc());
  });
});
