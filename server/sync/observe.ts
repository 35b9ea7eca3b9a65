import type { CloudVolume } from '../cloudstack/cloud';
import type { Clock } from '../core/clock';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Device, DeviceSnapshot, Guest, Holder } from '../devices/device';
import { settledHolders } from '../devices/disk-users';
import { isVolumeSerial, plainSerial, serialNames } from '../devices/serial';
import type { ConfiguredExport, ExportServer, ProbeResult } from '../exports/export-server';
import type { Ledger } from '../model/ledger';
import type { NeighbourDaemons } from '../model/neighbour-daemons';
import type { Mapping } from '../model/operation';
import type { Observation } from './observation';
import type { CloudView } from './read-cloud';

/** What an observation asks of the database. */
export type LedgerReads = Pick<
  Ledger,
  'listMappings' | 'listExports' | 'listOperations' | 'ownVolumes' | 'volumesOfSerials'
>;

/** What is asked for an observation. */
export interface ObserveParts {
  /** Looks at all volumes of CloudStack now. */
  readonly catalogue: { look(applianceVmId: string, volumeIds: readonly string[]): Promise<CloudView> };
  readonly ledger: LedgerReads;
  /** The daemons of other appliances. */
  readonly neighbours: Pick<NeighbourDaemons, 'look'>;
  readonly exports: ExportServer;
  readonly clock: Clock;
  readonly watcher: { scan(): Promise<DeviceSnapshot> };
  readonly guest: Pick<Guest, 'holders'>;
  /** How much larger than its volume a device may be. */
  readonly sizeToleranceBytes: number;
  /** Volumes with an operation in flight or waiting. */
  busyVolumes(): Promise<ReadonlySet<string>>;
  /** Where the sources of the appliance's identity disagree. */
  identityConflicts(): readonly string[];
}

/**
 * Reads the four views. The rows come first: a mapping is written after CloudStack has attached the volume,
 * so CloudStack's answer is never older than the row. The busy volumes are read before everything else and
 * again at the end. A view that cannot be read is null; errors of the database are thrown, because nothing
 * works without it.
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
  const guest = await optional('guest', () => parts.watcher.scan());
  const mapped = mappings.map(({ volumeId }) => volumeId);
  const plugged = await parts.ledger.volumesOfSerials(guest ? unmappedSerials(guest, mapped) : []);
  const cloud = await optional('cloudstack', () =>
    parts.catalogue.look(applianceVmId, [...mapped, ...plugged]),
  );
  const users = guest ? await optional('users of the disks', () => readUsers(parts, guest, mappings)) : null;
  const enabled = parts.exports.kind !== 'none';
  const configured = await optional('export server', () => parts.exports.list());
  const probes = await probeAll(parts, enabled ? (configured ?? []) : []);
  const left = unmappedElsewhere(cloud?.volumes ?? [], applianceVmId, mappings);
  const ours = await parts.ledger.ownVolumes(left.map(({ id }) => id));
  const theirVms = left.filter(({ id }) => ours.has(id)).map(({ vmId }) => vmId);
  const after = await parts.busyVolumes();
  return {
    applianceVmId,
    identityConflicts: parts.identityConflicts(),
    volumes: cloud?.volumes ?? null,
    guest,
    users: users ?? new Map(),
    mappings,
    exports,
    exportsEnabled: enabled,
    exportPorts: {
      writable: parts.exports.portOf({ readOnly: false }),
      readOnly: parts.exports.portOf({ readOnly: true }),
    },
    configured,
    probes,
    busy: new Set([...before, ...after]),
    absent: cloud?.absent ?? new Map(),
    hidden: cloud?.hidden ?? new Map(),
    otherAppliances: await otherAppliances(parts.neighbours, applianceVmId, [
      ...mappings.map(({ vmId }) => vmId),
      ...theirVms,
    ]),
    ours,
    unclaimed: await unclaimedVolumes(parts.ledger),
    stuckBefore,
    sizeToleranceBytes: parts.sizeToleranceBytes,
    unavailable: [...unavailable, ...(cloud?.unavailable ?? [])],
  };
}

/**
 * Serials of disks that may be volumes' and that no mapping names: a list of volumes need not show theirs.
 */
function unmappedSerials({ devices }: DeviceSnapshot, mapped: readonly string[]): string[] {
  return devices.flatMap(({ serial }) =>
    isVolumeSerial(serial) && !mapped.some((id) => serialNames(id, serial)) ? [plainSerial(serial)] : [],
  );
}

/** Of every disk that may be a volume's: it has the serial of one, or a mapping has its path. */
function readUsers(
  { guest, clock }: Pick<ObserveParts, 'guest' | 'clock'>,
  { devices }: DeviceSnapshot,
  mappings: readonly Mapping[],
): Promise<ReadonlyMap<string, readonly Holder[]>> {
  const mapped = new Set(mappings.map(({ devicePath }) => devicePath));
  const concerned = ({ path, serial, root }: Device) =>
    root !== true && (isVolumeSerial(serial) || mapped.has(path));
  return settledHolders(guest, clock, devices.filter(concerned));
}

interface Placed {
  readonly id: string;
  readonly vmId: string;
}

/** Volumes that CloudStack shows attached to other VMs, and that have no mapping. */
function unmappedElsewhere(
  volumes: readonly CloudVolume[],
  applianceVmId: string,
  mappings: readonly Mapping[],
): Placed[] {
  const mapped = new Set(mappings.map(({ volumeId }) => volumeId));
  return volumes.flatMap(({ id, vmId }) =>
    vmId === null || vmId === applianceVmId || mapped.has(id) ? [] : [{ id, vmId }],
  );
}

/**
 * Those of the VMs on which a daemon has ever run. Of which it is not known yet whether it runs, it does
 * until the next sync.
 */
async function otherAppliances(
  neighbours: Pick<NeighbourDaemons, 'look'>,
  applianceVmId: string,
  vmIds: readonly string[],
): Promise<Map<string, { runs: boolean }>> {
  const found = new Map<string, { runs: boolean }>();
  for (const vmId of new Set(vmIds)) {
    const daemon = vmId === applianceVmId ? null : await neighbours.look(vmId);
    if (daemon !== null) found.set(vmId, daemon);
  }
  return found;
}

/**
 * Volumes that finished creates have reported as possibly left behind by an earlier try, and that nobody has
 * put to use since.
 */
async function unclaimedVolumes(ledger: LedgerReads): Promise<Map<string, string>> {
  const creates = await ledger.listOperations({ type: 'create', limit: LIMITS.SYNC_CREATES });
  const found = new Map<string, string>();
  for (const { id, response } of creates) {
    const named = response?.unclaimed;
    if (!Array.isArray(named)) continue;
    for (const volumeId of named) if (typeof volumeId === 'string') found.set(volumeId, id);
  }
  for (const volumeId of await ledger.ownVolumes([...found.keys()])) found.delete(volumeId);
  return found;
}

/**
 * One handshake per export that has a target, and a second one for those that do not answer: an export server
 * that is restarting for another volume is not unhealthy.
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
