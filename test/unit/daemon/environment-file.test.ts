import { describe, expect, it } from 'vitest';
import { withDsn } from '~/server/daemon/setup/environment-file';

describe('the DSN in the environment file', () => {
  it.each([
    ['', 'DATABASE_DSN=d\n'],
    ['PORT=1', 'PORT=1\nDATABASE_DSN=d\n'],
    ['DATABASE_DSN=old\nPORT=1\n', 'DATABASE_DSN=d\nPORT=1\n'],
    ['DATABASE_DSN=a\nDATABASE_DSN=b\n', 'DATABASE_DSN=a\nDATABASE_DSN=d\n'],
    ['#DATABASE_DSN=old\n', '#DATABASE_DSN=old\nDATABASE_DSN=d\n'],
  ])('%j becomes %j: the line that counts, and nothing else', (before, after) => {
    expect(withDsn(before, 'd')).toBe(after);
  });

  it('what a password may hold has no meaning here', () => {
    expect(withDsn('DATABASE_DSN=x\n', 'u:$&$1@unix(/s)/d')).toBe('DATABASE_DSN=u:$&$1@unix(/s)/d\n');
  });
});
