import { join } from 'node:path';
import { systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import type { ExportFigures, ExportServer } from '~/server/exports/export-server';
import { NbdServerExports } from '~/server/exports/nbd-server/nbd-server-exports';
import { StorageDaemonExports } from '~/server/exports/storage-daemon/storage-daemon-exports';
import { startNbdServer } from '../nbd-server';
import { startStorageDaemon } from '../storage-daemon';

/** A real export server in a private folder, and the daemon's side of it. */
export interface Backend {
  readonly port: number;
  /** A new one knows nothing of those before it, as a daemon after its restart. */
  create(): ExportServer & { readonly figures: ExportFigures };
  pids(): Promise<number[]>;
  stop(): Promise<void>;
}

export const BACKENDS = ['nbd-server', 'qemu-storage-daemon'] as const;

/** Devices are files in `devDir`. */
export async function startBackend(
  kind: (typeof BACKENDS)[number],
  { dir, devDir }: { dir: string; devDir: string },
): Promise<Backend> {
  const common = {
    runDir: join(dir, 'run'),
    devDir,
    binary: kind,
    manage: 'own' as const,
    unit: null,
    clock: systemClock,
    logger: silentLogger,
  };
  if (kind === 'nbd-server') {
    const nbd = await startNbdServer({ dir: join(dir, 'nbd') });
    return {
      ...nbd,
      create: () => new NbdServerExports({ ...common, ...nbd, restartPolicy: 'preserve' }),
    };
  }
  const qsd = await startStorageDaemon({ dir });
  return { ...qsd, create: () => new StorageDaemonExports({ ...common, ...qsd, diskseq: () => null }) };
}
