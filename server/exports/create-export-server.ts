import { join } from 'node:path';
import { programFile } from '../core/program-file';
import { readNumber } from '../devices/sysfs/kernel-files';
import { servesPort } from '../devices/sysfs/socket-table';
import type { Backend, Manager } from './export-choices';
import { ExportLinks } from './export-links';
import type { ExportServer } from './export-server';
import { NbdServerExports, type NbdServerOptions } from './nbd-server/nbd-server-exports';
import { NbdkitExports, type NbdkitOptions } from './nbdkit/nbdkit-exports';
import { noExports } from './no-exports';

export interface ExportServerOptions
  extends Omit<NbdServerOptions & NbdkitOptions, 'binary' | 'diskseq' | 'handshakeMs' | 'notToStart'> {
  readonly backend: Backend;
  /** Program to run; null = the one the backend is called after. */
  readonly binary: string | null;
  readonly manage: Manager;
  /** `/sys/block` */
  readonly sysBlockDir: string;
}

/** The export server that NBD_BACKEND names. */
export function createExportServer(options: ExportServerOptions): ExportServer {
  const backend = options.backend === 'auto' ? chooseBackend(options) : options.backend;
  const diskseq = (name: string) => readNumber(join(options.sysBlockDir, name, 'diskseq'));
  if (backend === 'none')
    return noExports(options.port, new ExportLinks({ ...options, diskseq }, { apart: true }));
  const given = {
    ...options,
    binary: options.binary ?? backend,
    unit: options.manage === 'own' ? null : options.unit,
    diskseq,
  };
  if (backend === 'nbdkit') return new NbdkitExports(given);
  // The socket of nbdkit's holder is no unit of an nbd-server that was found here.
  return new NbdServerExports(
    given.unit?.endsWith('.socket') ? { ...given, unit: null, notToStart: withoutUnit(given.unit) } : given,
  );
}

/**
 * Where systemd is to have the exports, this daemon runs in a sandbox that opens no disk for writing,
 * and its end is that of all it has started: an nbd-server of its own would serve everybody read-only,
 * and cut its clients.
 */
function withoutUnit(socket: string): string {
  return (
    'the nbd-server that has, or had, the port of the exports has no unit that may be started anew; to move to nbdkit when no client is ' +
    `connected: stop it, systemctl enable --now ${socket}, systemctl restart volume-daemon; to stay: NBD_BACKEND=nbd-server and ` +
    'NBD_UNIT=volume-daemon-nbd-server.service'
  );
}

/**
 * nbdkit where it is installed. But an appliance whose own nbd-server has the port keeps it until it is told
 * otherwise: people are connected to it, and its configuration may be known to others.
 */
function chooseBackend({ port, logger }: ExportServerOptions): Exclude<ExportServer['kind'], 'none'> {
  if (servesPort('nbd-server', port)) {
    logger.warn(
      'An nbd-server has the port of the exports and is used; NBD_BACKEND=nbdkit takes over once it is stopped',
      { port },
    );
    return 'nbd-server';
  }
  return programFile('nbdkit') === null ? 'nbd-server' : 'nbdkit';
}
