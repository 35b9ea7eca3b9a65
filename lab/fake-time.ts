import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureLibrary } from './packages';

/** The folders of the architectures: /usr/lib/x86_64-linux-gnu, … */
const LIBRARIES = '/usr/lib';

/**
 * libfaketime's library for programs with threads, installed when it is not there. Throws when it cannot be.
 */
export function faketimeLibrary(): string {
  const found = () =>
    readdirSync(LIBRARIES)
      .map((folder) => join(LIBRARIES, folder, 'faketime', 'libfaketimeMT.so.1'))
      .find(existsSync);
  const path = found();
  if (path !== undefined) return path;
  ensureLibrary('/usr/share/doc/libfaketime', 'libfaketime');
  const installed = found();
  if (installed === undefined) throw new Error('libfaketime is installed, and its library is not found');
  return installed;
}

/**
 * A wall clock for processes that are started with its environment; it can be set while they run. Their
 * monotonic clock, and the clock of this machine, stay as they are.
 *
 * @example
 * const clock = new FakeTime(faketimeLibrary());
 * const server = await startMariadb({ env: clock.env });
 * clock.set(-7_200_000);
 */
export class FakeTime {
  readonly env: Readonly<Record<string, string>>;
  private readonly dir = mkdtempSync(join(tmpdir(), 'volume-clock-'));

  constructor(library: string) {
    const file = join(this.dir, 'offset');
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      // Timeouts and pauses are none of its business.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
    this.set(0);
  }

  /** ms from the true time. */
  set(offsetMs: number): void {
    const seconds = `${offsetMs < 0 ? '-' : '+'}${Math.abs(offsetMs) / 1000}`;
    // Renamed into its place: a process that reads half a line would have yet another time.
    writeFileSync(join(this.dir, 'next'), `${seconds}\n`);
    renameSync(join(this.dir, 'next'), join(this.dir, 'offset'));
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
