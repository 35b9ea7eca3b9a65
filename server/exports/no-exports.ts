import type { ExportServer } from './export-server';

const message = 'exports are off (NBD_BACKEND=none)';

/** NBD_BACKEND=none: hosts without NBD. Attach completes without an export. */
export function noExports(port: number): ExportServer {
  return {
    kind: 'none',
    port,
    portOf: () => port,
    publish: async () => {},
    withdraw: async () => {},
    list: async () => [],
    probe: async () => ({ ok: false, reason: 'disabled', message, ms: 0 }),
    clients: async () => ({ connected: [], leaving: [] }),
    clientProcesses: async () => new Map(),
    health: async () => ({ status: 'disabled', message, version: null, pid: null, staleUntilRestart: 0 }),
    close: async () => {},
  };
}
