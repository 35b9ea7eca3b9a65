import { volumeIdOf } from '../model/export-name';
import type { ExportLinks } from './export-links';
import type { ConfiguredExport, ExportServer } from './export-server';

const message = 'exports are off (NBD_BACKEND=none)';

/**
 * NBD_BACKEND=none: hosts without NBD. Attach completes without an export. Links that were made before
 * exports were switched off are listed, so that sync closes them: a server that still runs would follow them
 * to whatever disk gets the letter.
 */
export function noExports(port: number, links: ExportLinks | null = null): ExportServer {
  const left = async (name: string): Promise<ConfiguredExport[]> => {
    const [volumeId, target, plug] = [volumeIdOf(name), await links?.read(name), await links?.plug(name)];
    if (volumeId === null) return [];
    return [{ name, volumeId, target: target ?? null, plug: plug ?? null, published: null }];
  };
  return {
    kind: 'none',
    port,
    portOf: () => port,
    publish: async () => {},
    withdraw: async (name) => {
      if (volumeIdOf(name) !== null) await links?.remove(name);
    },
    list: async () => (await Promise.all(((await links?.names()) ?? []).map(left))).flat(),
    probe: async () => ({ ok: false, reason: 'disabled', message, ms: 0 }),
    clients: async () => ({ connected: [], leaving: [] }),
    clientProcesses: async () => new Map(),
    health: async () => ({ status: 'disabled', message, version: null, pid: null, staleUntilRestart: 0 }),
    close: async () => {},
  };
}
