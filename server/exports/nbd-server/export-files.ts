import { join } from 'node:path';
import { namesIn, readIfThere, removeDurably, writeDurably } from '../../core/durable-files';
import type { Logger } from '../../core/log/logger';
import { volumeIdOf } from '../../model/export-name';
import { configFailed } from '../export-errors';
import type { ExportTarget } from '../export-server';
import { type BaseOptions, baseConfig, baseProblems, exportSection, serialize } from './nbd-config';

const SUFFIX = '.conf';

/** What of an export its file says, besides the link. */
export type Described = Pick<ExportTarget, 'name' | 'readOnly'>;

export interface FileOptions extends BaseOptions {
  /** Made when it is missing, never changed. */
  readonly baseConfig: string;
}

/**
 * nbd-server's configuration: one file per export in the folder that the base configuration includes; only
 * `migration-vol-*.conf` are ours. Name and content of a volume's file never change: the link names the
 * device.
 */
export class ExportFiles {
  /** What is wrong with a base configuration that is not ours to change; for messages. */
  problems: readonly string[] = [];

  constructor(
    private readonly options: FileOptions,
    private readonly linkPath: (name: string) => string,
  ) {}

  /** Removes leftovers of a crash and creates a missing base configuration. Throws EXPORT_CONFIG_FAILED. */
  async prepare(logger: Logger): Promise<void> {
    const { baseConfig: path, configDir } = this.options;
    for (const name of await list(configDir))
      if (/^migration-vol-.*\.tmp$/.test(name)) await remove(join(configDir, name));
    const there = await read(path);
    if (there === null) {
      logger.info('The base configuration of nbd-server is made', { path });
      await write(path, baseConfig(this.options));
      return;
    }
    this.problems = baseProblems(there, this.options).map((problem) => `${path}: ${problem}`);
    if (this.problems.length > 0)
      logger.warn('The base configuration of nbd-server does not fit', { problems: this.problems });
  }

  /** Names of our exports that have a file. */
  async names(): Promise<string[]> {
    return (await list(this.options.configDir))
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => file.slice(0, -SUFFIX.length))
      .filter((name) => volumeIdOf(name) !== null);
  }

  /** Is the file there, with exactly the content that we would write? */
  async isRight(described: Described): Promise<boolean> {
    return (await read(this.path(described.name))) === this.content(described);
  }

  /** The export that a file of ours describes; null when there is none, or somebody else wrote it. */
  async read(name: string): Promise<Described | null> {
    const text = await read(this.path(name));
    const found = [false, true].find((readOnly) => text === this.content({ name, readOnly }));
    return found === undefined ? null : { name, readOnly: found };
  }

  /** Throws EXPORT_CONFIG_FAILED. */
  write(described: Described): Promise<void> {
    return write(this.path(described.name), this.content(described));
  }

  /** A missing file is fine. Throws EXPORT_CONFIG_FAILED. */
  remove(name: string): Promise<void> {
    return remove(this.path(name));
  }

  private content({ name, readOnly = false }: Described): string {
    return serialize([exportSection(name, this.linkPath(name), readOnly)]);
  }

  private path(name: string): string {
    return join(this.options.configDir, `${name}${SUFFIX}`);
  }
}

const list = (folder: string) => namesIn(folder).catch(configFailed(folder, 'read'));
const read = (path: string) => readIfThere(path).catch(configFailed(path, 'read'));
const write = (path: string, text: string) => writeDurably(path, text).catch(configFailed(path, 'written'));
const remove = (path: string) => removeDurably(path).catch(configFailed(path, 'removed'));
