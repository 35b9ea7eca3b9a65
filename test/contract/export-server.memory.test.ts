import { lstat, readFile, writeFile } from 'node:fs/promises';
import { describe } from 'vitest';
import { MemoryExports, MemoryServer } from '~/lab/exports/memory-exports';
import { exportServerContract } from './export-server';

describe('the export server contract: the one in memory', () => {
  exportServerContract(async ({ devDir }) => {
    const server = new MemoryServer({
      port: 10_809,
      devDir,
      disk: async (path) => {
        const status = await lstat(path).catch(() => null);
        return status?.isFile() ? { size: status.size, key: String(status.ino) } : null;
      },
    });
    const pathOf = (name: string) => server.served.get(name)?.path ?? '';
    return {
      create: () => new MemoryExports(server),
      pids: async () => [],
      kill: async () => server.kill(),
      takePort: async () => {
        server.portTaken = true;
        return async () => {
          server.portTaken = false;
        };
      },
      client: {
        firstByte: async (name) => {
          const disk = await server.open(name);
          return typeof disk === 'string' ? disk : ((await readFile(pathOf(name)))[0] ?? 'empty');
        },
        size: async (name) => {
          const disk = await server.open(name);
          return typeof disk === 'string' ? -1 : disk.size;
        },
        write: (name, content) => writeFile(pathOf(name), content),
        begin: async (name) => {
          const client = await server.connect(name);
          const { size } = await lstat(pathOf(name));
          return {
            finish: async () => {
              server.hangUp(client);
              return { bytes: client.cut ? 0 : size, complete: !client.cut };
            },
          };
        },
      },
    };
  });
});
