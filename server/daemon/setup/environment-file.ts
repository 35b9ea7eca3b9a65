import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';

/** The password of the DSN that the package comes with. Everybody knows it, so no account is made with it. */
export const PUBLIC_PASSWORD = 'oma_password';

/** The content of an environment file with this DATABASE_DSN; every other line stays as it is. */
export function withDsn(content: string, dsn: string): string {
  const line = `DATABASE_DSN=${dsn}`;
  const lines = content.split('\n');
  // The last one counts, for systemd as for everybody.
  const at = lines.findLastIndex((one) => /^\s*DATABASE_DSN\s*=/.test(one));
  if (at >= 0) return lines.with(at, line).join('\n');
  return `${content}${content === '' || content.endsWith('\n') ? '' : '\n'}${line}\n`;
}

/** Replaces the DSN in the file at once, and keeps its owner and mode; a new file is for root alone. */
export function writeDsn(path: string, dsn: string): void {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0o600;
  const next = `${path}.new`;
  writeFileSync(next, withDsn(before, dsn), { mode: mode & 0o640, flush: true });
  renameSync(next, path);
}
