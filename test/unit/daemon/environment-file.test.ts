import {
  chownSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withDsn, writeDsn } from '~/server/daemon/setup/environment-file';

describe('the DSN in the environment file', () => {
  it.each([
    ['', 'DATABASE_DSN=d\n'],
    ['PORT=1', 'PORT=1\nDATABASE_DSN=d\n'],
    ['DATABASE_DSN=old\nPORT=1\n', 'DATABASE_DSN=d\nPORT=1\n'],
    ['DATABASE_DSN=a\nDATABASE_DSN=b\n', 'DATABASE_DSN=a\nDATABASE_DSN=d\n'],
    ['\ufeffDATABASE_DSN=mine\n', '\ufeffDATABASE_DSN=mine\nDATABASE_DSN=d\n'],
    ['#DATABASE_DSN=old\n', '#DATABASE_DSN=old\nDATABASE_DSN=d\n'],
  ])('%j becomes %j: the line that counts, and nothing else', (before, after) => {
    expect(withDsn(before, 'd')).toBe(after);
  });

  it('what a password may hold has no meaning here', () => {
    expect(withDsn('DATABASE_DSN=x\n', 'u:$&$1@unix(/s)/d')).toBe('DATABASE_DSN=u:$&$1@unix(/s)/d\n');
  });

  it('is written where a link leads, and keeps the owner and the mode of the file', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'volume-environment-'));
    const [file, link] = [join(dir, 'file'), join(dir, 'link')];
    const comment = Buffer.from('# f\u00fcr alle\n', 'latin1');
    writeFileSync(file, Buffer.concat([comment, Buffer.from('DATABASE_DSN=old\n')]), { mode: 0o640 });
    if (process.getuid?.() === 0) chownSync(file, 1, 2);
    const { uid, gid, mode } = statSync(file);
    symlinkSync('file', link);
    await writeDsn(link, 'd\u00e9');
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(file)).toEqual(Buffer.concat([comment, Buffer.from('DATABASE_DSN=d\u00e9\n')]));
    expect(statSync(file)).toMatchObject({ uid, gid, mode });
    rmSync(dir, { recursive: true });
  });
});
