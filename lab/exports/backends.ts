import { join } from 'node:path';
import { systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import type { ExportFigures, ExportServer } from '~/server/exports/export-server';
import { NbdServerExports, type NbdServerOptions } from '~/server/exports/nbd-server/nbd-server-exports';
import { NbdkitExports, type NbdkitOptions } from '~/server/exports/nbdkit/nbdkit-exports';
import { type NbdServer, startNbdServer } from '../nbd-server';
import { startNbdkit } from '../nbdkit';

/** A real export server in a private folder, and the daemon's side of it. */
export interface Backend {
  readonly port: number;
  /** A new one knows nothing of those before it, as a daemon after its restart. */
  create(): ExportServer & { readonly figures: ExportFigures };
  /** What keeps running: holders or the server's parent, and the processes that serve clients. */
  pids(): Promise<number[]>;
  stop(): Promise<void>;
}

export const BACKENDS = ['nbdkit', 'nbd-server'] as const;

/** What a laboratory without settings uses. */
export const NBDKIT_DEFAULTS = {
  binary: 'nbdkit',
  unit: null,
  tls: 'off',
  tlsDir: '/etc/volume-daemon/tls',
  maxConnections: 64,
  maxPerExport: 16,
  maxBytesPerSecond: 0,
  diskseq: () => null,
  clock: systemClock,
  logger: silentLogger,
} as const satisfies Partial<NbdkitOptions>;

/** Devices are files in `devDir`. */
export async function startBackend(
  kind: (typeof BACKENDS)[number],
  { dir, devDir }: { dir: string; devDir: string },
): Promise<Backend> {
  const runDir = join(dir, 'run');
  if (kind === 'nbdkit') {
    const nbdkit = await startNbdkit({ runDir });
    return {
      ...nbdkit,
      pids: async () => [...(await nbdkit.holders()), ...(await nbdkit.servers())],
      create: () => new NbdkitExports({ ...NBDKIT_DEFAULTS, ...nbdkit, devDir }),
    };
  }
  const nbd = await startNbdServer({ dir: join(dir, 'nbd') });
  return {
    ...nbd,
    create: () => nbdServerExports(nbd, { dir, devDir }),
  };
}

/** The exports of a real nbd-server. Devices are files in `devDir`. */
export function nbdServerExports(
  nbd: NbdServer,
  { dir, devDir }: { readonly dir: string; readonly devDir: string },
  options: Partial<NbdServerOptions> = {},
): NbdServerExports {
  return new NbdServerExports({
    ...nbd,
    runDir: join(dir, 'run'),
    devDir,
    binary: 'nbd-server',
    unit: null,
    restartPolicy: 'preserve',
    diskseq: () => null,
    clock: systemClock,
    logger: silentLogger,
    ...options,
  });
}
