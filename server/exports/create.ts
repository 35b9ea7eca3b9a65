import type { ExportServer } from './export-server';
import { NbdServerExports, type NbdServerOptions } from './nbd-server';
import { noExports } from './none';

export interface ExportServerOptions extends NbdServerOptions {
  readonly backend: 'nbd-server' | 'qemu-storage-daemon' | 'none';
  readonly qmpSocket: string;
}

/** The export server that NBD_BACKEND names. */
export function createExportServer(options: ExportServerOptions): ExportServer {
  switch (options.backend) {
    case 'nbd-server':
      return new NbdServerExports(options);
    case 'qemu-storage-daemon':
      throw new Error('NBD_BACKEND=qemu-storage-daemon is not built yet: use nbd-server, or none');
    case 'none':
      return noExports(options.port);
    default:
      return options.backend satisfies never;
  }
}
