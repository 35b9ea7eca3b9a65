import { join } from 'node:path';
import { describe } from 'vitest';
import { nbdClients } from '~/lab/exports/clients';
import { startStorageDaemon } from '~/lab/storage-daemon';
import { StorageDaemonExports } from '~/server/exports/qsd';
import { systemClock } from '~/server/runtime/clock';
import { silentLogger } from '~/server/runtime/logger';
import { exportServerContract } from './export-server';

describe('the export server contract: the real qemu-storage-daemon', () => {
  exportServerContract(async ({ dir, devDir }) => {
    const qsd = await startStorageDaemon({ dir });
    const { takePort, close, ...client } = nbdClients({ port: qsd.port, dir });
    return {
      client,
      takePort,
      close,
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
