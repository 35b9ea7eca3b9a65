import type { Cloud, CloudVolume } from '../cloudstack/cloud';
import type { Clock } from '../core/clock';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { DeviceSnapshot } from '../devices/device';
import type { ConfiguredExport, ExportServer, ProbeResult } from '../exports/export-server';
import type { Ledger } from '../model/ledger';
import type { Mapping } from '../model/operation';
import type { Observation } from './observation';

export interface ObserveParts {
  readonly cloud: Cloud;
  readonly ledger: Ledger;
  readonly exports: ExportServer;
  readonly clock: Clock;
  readonly watcher: { scan(): Promise<DeviceSnapshot> };
  /** Bytes a device may be larger than its volume. */
  readonly sizeTolerance: number;
  /** Volumes with an operation in flight or waiting. */
  busyVolumes(): Promise<ReadonlySet<string>>;
  /** What the sources of the appliance's identity disagree about, in words. */
  identityConflicts(): readonly string[];
}

/**
 * Reads the four views. The rows come first: a mapping is written after CloudStack has attached the volume, so what CloudStack says
 * later than the row is the news, never the other way round. The busy volumes are read before everything and again at the end. A
 * view that cannot be read is null; the database is needed for anything at all, so its errors are thrown.
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
  const [mappings, exports] = await Promise.all([parts.ledger.listMappings(), parts.ledger.listExports()]);
  const [cloud, guest] = await Promise.all([
    optional('cloudstack', () => readCloud(parts.cloud, mappings, unavailable)),
    optional('guest', () => parts.watcher.scan()),
  ]);
  const enabled = parts.exports.kind !== 'none';
  const configured = enabled ? await optional('export server', () => parts.exports.list()) : null;
  const probes = await probeAll(parts, configured ?? []);
  const after = await parts.busyVolumes();
  return {
    applianceVmId,
    identityConflicts: parts.identityConflicts(),
    volumes: cloud?.volumes ?? null,
    guest,
    mappings,
    exports,
    exportsEnabled: enabled,
    configured,
    probes,
    busy: new Set([...before, ...after]),
    unsure: new Set(cloud?.unsure ?? []),
    stuckBefore,
    sizeTolerance: parts.sizeTolerance,
    unavailable,
  };
}

/**
 * All volumes, and those with a mapping that the list does not show, one by one: a list leaves out what belongs to a project, and
 * what slipped from one page to the one before while it was read. Only the look-up by id proves that a volume is gone.
 */
async function readCloud(
  cloud: Cloud,
  mappings: readonly Mapping[],
  unavailable: string[],
): Promise<{ volumes: CloudVolume[]; unsure: string[] }> {
  const volumes = await cloud.listVolumes({});
  const listed = new Set(volumes.map(({ id }) => id));
  const unlisted = mappings.map(({ volumeId }) => volumeId).filter((id) => !listed.has(id));
  const unsure = unlisted.slice(LIMITS.SYNC_LOOKUPS);
  if (unsure.length > 0)
    unavailable.push(
      `cloudstack: its list leaves out ${unlisted.length} mapped volumes, ${unsure.length} of them are left alone`,
    );
  await mapConcurrent(unlisted.slice(0, LIMITS.SYNC_LOOKUPS), LIMITS.PROBES_AT_ONCE, async (id) => {
    try {
      const volume = await cloud.readVolume(id);
      if (volume) volumes.push(volume);
    } catch (error) {
      unsure.push(id);
      unavailable.push(`cloudstack: volume ${id}: ${messageOf(error)}`);
    }
  });
  return { volumes, unsure };
}

/**
 * One handshake per export that has a target, and a second one for those that do not answer: an export server that is being
 * restarted for another volume is not ill.
 */
async function probeAll(
  { exports, clock }: Pick<ObserveParts, 'exports' | 'clock'>,
  configured: readonly ConfiguredExport[],
): Promise<Map<string, ProbeResult>> {
  const results = new Map<string, ProbeResult>();
  const probe = (names: readonly string[]) =>
    mapConcurrent(
      names,
      LIMITS.PROBES_AT_ONCE,
      async (name) => void results.set(name, await exports.probe(name)),
    );
  await probe(configured.filter(({ target }) => target !== null).map(({ name }) => name));
  const silent = [...results].filter(([, { ok }]) => !ok).map(([name]) => name);
  if (silent.length === 0) return results;
  await clock.sleep(LIMITS.SYNC_PROBE_AGAIN_MS);
  await probe(silent);
  return results;
}
