import { readFileSync, realpathSync, statSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { writeDurably } from '../../core/durable-files';

/** The password of the DSN that the package comes with. Everybody knows it, so no account is made with it. */
export const PUBLIC_PASSWORD = 'oma_password';

/** The content of an environment file with this DATABASE_DSN; every other line stays as it is. */
export function withDsn(content: string, dsn: string): string {
  const line = `DATABASE_DSN=${dsn}`;
  const lines = content.split('\n');
  // The last one counts, for systemd as for everybody; one behind a byte order mark is none.
  const at = lines.findLastIndex((one) => /^[ \t\r]*DATABASE_DSN[ \t]*=/.test(one));
  if (at >= 0) return lines.with(at, line).join('\n');
  return `${content}${content === '' || content.endsWith('\n') ? '' : '\n'}${line}\n`;
}

/**
 * Replaces the DSN in the file at once, and keeps its owner, its mode and a link to it; a new file is for
 * root alone. Every other byte stays as it is, also of a comment that is not UTF-8.
 */
export async function writeDsn(path: string, dsn: string): Promise<void> {
  const there = statSync(path, { throwIfNoEntry: false });
  const before = there ? readFileSync(path, 'latin1') : '';
  const after = withDsn(before, Buffer.from(dsn).toString('latin1'));
  const file = there ? realpathSync(path) : path;
  await writeDurably(file, Buffer.from(after, 'latin1'), (there?.mode ?? 0o600) & 0o640);
  if (there) await chown(file, there.uid, there.gid);
}
