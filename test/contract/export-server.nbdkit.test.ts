import { describe } from 'vitest';
import { startBackend } from '~/lab/exports/backends';
import { nbdClients } from '~/lab/exports/clients';
import { exportServerContract } from './export-server';

describe('the export server contract: the real nbdkit', () => {
  exportServerContract(async (options) => {
    const backend = await startBackend('nbdkit', options);
    const { takePort, close, ...client } = nbdClients({ port: backend.port, dir: options.dir });
    return { client, takePort, close, create: backend.create, pids: backend.pids, kill: backend.stop };
  });
});
