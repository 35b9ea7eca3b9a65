import { join } from 'node:path';
import { describe } from 'vitest';
import { startStorageDaemon } from '~/lab/storage-daemon';
import { StorageDaemonExports } from '~/server/exports/qsd';
import { systemClock } from '~/server/runtime/clock';
import { silentLogger } from '~/server/runtime/logger';
import { exportServerContract } from './export-server';

describe('the export server contract: the real qemu-storage-daemon', () => {
  exportServerContract(async ({ dir, devDir }) => {
    const qsd = await startStorageDaemon({ dir });
    return {
      create: () =>
        new StorageDaemonExports({
          ...qsd,
          runDir: join(dir, 'run'),
          devDir,
          binary: 'qemu-storage-daemon',
          manage: 'own',
          unit: null,
          diskseq: () => null,
          clock: systemClock,
          logger: silentLogger,
        }),
      pids: qsd.pids,
      kill: qsd.stop,
    };
  });
});
