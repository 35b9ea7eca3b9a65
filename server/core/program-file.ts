import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

/** The file of a program, on the PATH or where servers live; null: there is none that may be run. */
export function programFile(program: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin'].filter(Boolean);
  const files = isAbsolute(program) ? [program] : folders.map((folder) => join(folder, program));
  return files.find(isRunnable) ?? null;
}

/** Which file that is now: an upgrade puts another one under the same name. */
export function programIdentity(program: string): string | null {
  const path = programFile(program);
  const stat = path === null ? undefined : statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : [stat.dev, stat.ino, stat.size, stat.mtimeMs].join(':');
}

function isRunnable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
