import { join } from 'node:path';
import { readNumber } from '../devices/sysfs/kernel-files';
import type { ExportServer } from './export-server';
import { NbdServerExports, type NbdServerOptions } from './nbd-server/nbd-server-exports';
import { noExports } from './no-exports';
import { StorageDaemonExports } from './storage-daemon/storage-daemon-exports';

export interface ExportServerOptions extends Omit<NbdServerOptions, 'binary'> {
  readonly backend: 'nbd-server' | 'qemu-storage-daemon' | 'none';
  /** Program to run; null = the one the backend is called after. */
  readonly binary: string | null;
  readonly qmpSocket: string;
  /** `/sys/block` */
  readonly sysBlockDir: string;
}

/** The export server that NBD_BACKEND names. */
export function createExportServer(options: ExportServerOptions): ExportServer {
  const { backend } = options;
  const binary = options.binary ?? backend;
  switch (backend) {
    case 'nbd-server':
      return new NbdServerExports({ ...options, binary });
    case 'qemu-storage-daemon':
      return new StorageDaemonExports({
        ...options,
        binary,
        diskseq: (name) => readNumber(join(options.sysBlockDir, name, 'diskseq')),
      });
    case 'none':
      return noExports(options.port);
    default:
      return backend satisfies never;
  }
}
