import { join } from 'node:path';
import { describe } from 'vitest';
import { nbdClients } from '~/lab/exports/clients';
import { startNbdServer } from '~/lab/nbd-server';
import { NbdServerExports } from '~/server/exports/nbd-server';
import { systemClock } from '~/server/runtime/clock';
import { silentLogger } from '~/server/runtime/logger';
import { exportServerContract } from './export-server';

describe('the export server contract: the real nbd-server', () => {
  exportServerContract(async ({ dir, devDir }) => {
    const nbd = await startNbdServer({ dir: join(dir, 'nbd') });
    const { takePort, close, ...client } = nbdClients({ port: nbd.port, dir });
    return {
      client,
      takePort,
      close,
      create: () =>
        new NbdServerExports({
          ...nbd,
          runDir: join(dir, 'run'),
          devDir,
          binary: 'nbd-server',
          manage: 'own',
          unit: null,
          restartPolicy: 'preserve',
          clock: systemClock,
          logger: silentLogger,
        }),
      pids: nbd.pids,
      kill: nbd.stop,
    };
  });
});
