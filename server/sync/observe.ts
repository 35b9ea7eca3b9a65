import type { Cloud, CloudVolume } from '../cloudstack/cloud';
import type { Ledger } from '../database/ledger';
import type { DeviceSnapshot } from '../devices/model';
import type { ConfiguredExport, ExportServer, ProbeResult } from '../exports/export-server';
import { messageOf } from '../runtime/errors';
import { LIMITS } from '../runtime/limits';
import type { Observation } from './observation';

export interface ObserveParts {
  readonly cloud: Cloud;
  readonly ledger: Ledger;
  readonly exports: ExportServer;
  readonly watcher: { scan(): Promise<DeviceSnapshot> };
  /** Volumes with an operation in flight or waiting. */
  busyVolumes(): Promise<ReadonlySet<string>>;
}

/**
 * Reads the four views. The busy volumes are read first and again at the end: whatever an operation touched in between is
 * left alone. A view that cannot be read is null; the database is needed for anything at all, so its errors are thrown.
 */
export async function observe(
  parts: ObserveParts,
  applianceVmId: string,
  stuckBefore: ReadonlyMap<string, string>,
): Promise<Observation> {
  const unavailable: string[] = [];
  const optional = async <T>(name: string, read: () => Promise<T>): Promise<T | null> => {
    try {
      return await read();
    } catch (error) {
      unavailable.push(`${name}: ${messageOf(error)}`);
      return null;
    }
  };
  const before = await parts.busyVolumes();
  const [volumes, guest, mappings, exports] = await Promise.all([
    optional<CloudVolume[]>('cloudstack', () => parts.cloud.listVolumes({})),
    optional<DeviceSnapshot>('guest', () => parts.watcher.scan()),
    parts.ledger.listMappings(),
    parts.ledger.listExports(),
  ]);
  const enabled = parts.exports.kind !== 'none';
  const configured = enabled
    ? await optional<ConfiguredExport[]>('export server', () => parts.exports.list())
    : null;
  const probes = await probeAll(parts.exports, configured ?? []);
  const after = await parts.busyVolumes();
  return {
    applianceVmId,
    volumes,
    guest,
    mappings,
    exports,
    exportsEnabled: enabled,
    configured,
    probes,
    busy: new Set([...before, ...after]),
    stuckBefore,
    unavailable,
  };
}

/** One handshake per export that has a target, a bounded number at a time. */
async function probeAll(
  server: ExportServer,
  configured: readonly ConfiguredExport[],
): Promise<Map<string, ProbeResult>> {
  const results = new Map<string, ProbeResult>();
  const queue = configured.filter(({ target }) => target !== null).map(({ name }) => name);
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift())
      results.set(name, await server.probe(name));
  };
  await Promise.all(Array.from({ length: Math.min(LIMITS.PROBES_AT_ONCE, queue.length) }, worker));
  return results;
}
