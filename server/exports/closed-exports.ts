import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, namesIn } from '../core/durable-files';
import { messageOf } from '../core/errors';
import type { Logger } from '../core/log/logger';
import type { ExportLinks } from './export-links';

/**
 * Where exports that are closed led: their clients may still be there, also when the daemon was restarted.
 * One link each, in a folder from which nothing is served. Whoever has a device open is a client of the
 * export that has it now, or had it last.
 */
export class ClosedExports {
  constructor(
    private readonly folder: string,
    private readonly links: ExportLinks,
    private readonly logger: Logger,
  ) {}

  /** The device on which clients of this export may still be; null: none is known. */
  async read(name: string): Promise<string | null> {
    const device = await this.links.follow(join(this.folder, name));
    if (device === null) return null;
    const open = await Promise.all((await this.links.names()).map((one) => this.links.read(one)));
    return open.includes(device) ? null : device;
  }

  /** Never throws: that the export gets closed matters more. */
  async add(name: string, device: string): Promise<void> {
    try {
      await makeFolder(this.folder);
      for (const one of await namesIn(this.folder)) {
        const path = join(this.folder, one);
        if (one === name || (await this.links.follow(path)) === device) await rm(path, { force: true });
      }
      await symlink(device, join(this.folder, name));
    } catch (error) {
      const reason = messageOf(error);
      this.logger.warn('Clients of a closed export may not be known any more', { export: name, reason });
    }
  }
}
