import type { Cloud, CloudVolume } from '../../cloudstack/cloud';
import { knowOwnDelete, lookUpVolume } from '../../cloudstack/look-up';
import type { Clock } from '../../core/clock';
import type { ClockSteps } from '../../core/clock-steps';
import { messageOf } from '../../core/errors';
import { asDevice, type Device, type DeviceSnapshot, type Guest, type Holder } from '../../devices/device';
import { verifiedDevice, verifyIdentity } from '../../devices/identity';
import { isVolumeSerial, serialNames } from '../../devices/serial';
import type { ExportServer } from '../../exports/export-server';
import { absent, type Evidence, seen, unknown, type Witness } from '../../model/evidence';
import { shownExport } from '../../model/export-metadata';
import { exportName } from '../../model/export-name';
import { hasSettled } from '../../model/has-settled';
import type { Ledger } from '../../model/ledger';
import type { ExportRecord, Mapping, Operation, OperationType } from '../../model/operation';
import { sharingSerial } from '../../operations/attached-here';
import type { UnknownSince, Unknowns } from '../unknowns';

/** What each of the four witnesses says of one volume. */
export interface VolumeEvidence {
  readonly volumeId: string;
  readonly cloudstack: Evidence<CloudVolume>;
  readonly guest: Evidence<Device & { readonly users: readonly Holder[] }>;
  readonly database: Evidence<{ readonly mapping: Mapping | null; readonly export: ExportRecord | null }>;
  readonly exportServer: Evidence<{
    /** Where the export leads; null: nowhere, it fails closed. */
    readonly target: string | null;
    /** Connected clients. */
    readonly clients: number;
  }>;
  readonly lastOperation: Operation | null;
  /** Wall clock ms since when a witness has not been able to tell, as far as it was asked. */
  readonly unknownSince: UnknownSince;
}

interface EvidenceParts {
  ledger(): Ledger;
  readonly cloud: Pick<Cloud, 'readVolume' | 'readVm' | 'listVolumes'>;
  readonly watcher: { snapshot(): DeviceSnapshot };
  readonly guest: Pick<Guest, 'holders'>;
  readonly exports: Pick<ExportServer, 'kind' | 'list' | 'clients'>;
  readonly clock: Clock;
  readonly clockSteps: ClockSteps;
  /** Remembers since when a witness could not tell. */
  readonly unknowns: Unknowns;
  applianceVmId(): string | null;
}

interface Shown {
  ledger(): Pick<Ledger, 'listOperations'>;
  readonly cloud: Pick<Cloud, 'readVolume' | 'readVm'>;
  readonly clock: Clock;
  readonly clockSteps: ClockSteps;
  applianceVmId(): string | null;
}

/** Asks all four concurrently. Never throws: that a witness cannot be asked is part of the result. */
export async function gatherEvidence(parts: EvidenceParts, volumeId: string): Promise<VolumeEvidence> {
  const ask = async <T>(by: Witness, question: () => Promise<Evidence<T>>): Promise<Evidence<T>> => {
    try {
      return await question();
    } catch (error) {
      return unknown(messageOf(error), parts.clock.now(), by);
    }
  };
  const database = ask('database', () => fromDatabase(parts, volumeId));
  const [cloudstack, rows, exportServer, lastOperation] = await Promise.all([
    ask('cloudstack', () => lookUpShown(parts, volumeId)),
    database,
    ask('export-server', () => fromExportServer(parts, volumeId)),
    lastOperationOn(parts, volumeId),
  ]);
  const mapping = rows.kind === 'seen' ? rows.value.mapping : null;
  const guest = await ask('guest', async () => {
    const snapshot = parts.watcher.snapshot();
    const disk = fromGuest(snapshot, volumeId, mapping);
    const told = await unlessOfAnother(parts, disk, volumeId, snapshot);
    return withUsers(parts, await unlessReplaced(parts, told, cloudstack, snapshot));
  });
  const found = { cloudstack, guest, database: rows, exportServer };
  const unknownSince = parts.unknowns.since(volumeId, Object.values(found));
  return { volumeId, ...found, lastOperation, unknownSince };
}

/**
 * The volume as CloudStack shows it; absent also when it is not shown and a completed delete of ours has
 * removed it. Throws CloudError.
 */
export async function lookUpShown(parts: Shown, volumeId: string): Promise<VolumeEvidence['cloudstack']> {
  const shown = await lookUpVolume(parts.cloud, volumeId, parts.applianceVmId());
  try {
    const known = await knowOwnDelete(parts.ledger(), volumeId, shown);
    return await unlessJustMade(parts, volumeId, known);
  } catch {
    return shown;
  }
}

/** Operations whose good end says that the volume is there. */
const PROVE_IT: readonly string[] = ['create', 'attach', 'recover'] satisfies OperationType[];

/**
 * A management server that lags behind denies a volume that an operation has just made: until its answers
 * have settled, as the operations themselves judge by then, that proves nothing. Throws DATABASE_UNAVAILABLE.
 */
async function unlessJustMade(
  parts: Shown,
  volumeId: string,
  shown: VolumeEvidence['cloudstack'],
): Promise<VolumeEvidence['cloudstack']> {
  if (shown.kind !== 'absent') return shown;
  const [last] = await parts.ledger().listOperations({ volumeId, status: 'completed', limit: 1 });
  if (last === undefined || !PROVE_IT.includes(last.type)) return shown;
  if (hasSettled(parts, last, parts.applianceVmId())) return shown;
  const why = `${shown.proof}; but operation ${last.id} (${last.type}) has just ended well: ask again`;
  return unknown(why, shown.at, shown.by);
}

async function fromDatabase(
  { ledger, clock }: EvidenceParts,
  volumeId: string,
): Promise<VolumeEvidence['database']> {
  const [mapping, record] = await Promise.all([
    ledger().readMapping(volumeId),
    ledger().readExport(volumeId),
  ]);
  if (!mapping && !record) return absent('there is no row of this volume', clock.now(), 'database');
  return seen({ mapping, export: shownExport(record, null) }, clock.now(), 'database');
}

/** The newest operation on the volume; null also while the database is away. */
async function lastOperationOn({ ledger }: EvidenceParts, volumeId: string): Promise<Operation | null> {
  try {
    const [last] = await ledger().listOperations({ volumeId, limit: 1 });
    return last ?? null;
  } catch {
    return null;
  }
}

/** The disk with the serial of the volume; where disks have none, the one that the mapping verifies. */
function fromGuest(
  { devices, others = [], bootId, at, scanned }: DeviceSnapshot,
  volumeId: string,
  mapping: Mapping | null,
): Evidence<Device> {
  if (!scanned) return unknown('the disks of this guest were not read yet, or not for a while', at, 'guest');
  const disks = [...devices, ...others.map(asDevice)];
  const [only, other] = disks.filter(({ serial }) => serialNames(volumeId, serial));
  if (only && other) return unknown(`${only.path} and ${other.path} have its serial`, at, 'guest');
  if (only) return seen(only, at, 'guest');
  const mapped = mapping && verifiedDevice(mapping, { devices, bootId }).device;
  if (mapped) return seen(mapped, at, 'guest');
  // A text of the emulator (`QM00003`) names no volume either.
  const silent = disks
    .filter(({ serial, root }) => root !== true && !isVolumeSerial(serial))
    .map(({ path }) => path);
  if (silent.length === 0) return absent('every disk of this guest has the serial of another', at, 'guest');
  return unknown(
    `no disk has its serial, and these do not tell whose they are: ${silent.join(', ')}`,
    at,
    'guest',
  );
}

/**
 * Volumes whose ids begin alike show one serial: a disk that a mapping proves to be another one's is not
 * taken for this one's, as sync takes it for neither. Nor is one that no mapping proves to be this one's,
 * while CloudStack shows such a volume attached here, perhaps without a mapping. While the database and
 * CloudStack are away nothing tells.
 */
async function unlessOfAnother(
  { ledger, cloud, applianceVmId }: Pick<EvidenceParts, 'ledger' | 'cloud' | 'applianceVmId'>,
  disk: Evidence<Device>,
  volumeId: string,
  { bootId }: DeviceSnapshot,
): Promise<Evidence<Device>> {
  const vmId = applianceVmId();
  if (disk.kind !== 'seen' || vmId === null) return disk;
  const { path, serial } = disk.value;
  const owner = await ledger()
    .readMappingByDevice(vmId, path)
    .catch(() => null);
  if (owner !== null && verifyIdentity(owner, disk.value, bootId).ok) {
    if (owner.volumeId === volumeId) return disk;
    const why = `${path} has its serial, and is mapped to volume ${owner.volumeId}: their ids begin alike`;
    return unknown(why, disk.at, disk.by);
  }
  const alike = await sharingSerial(cloud, vmId, volumeId).catch(() => []);
  const twin = alike.find(({ id }) => serialNames(id, serial));
  if (twin === undefined) return disk;
  const why = `${path} has its serial, and so has volume ${twin.id}, which is attached here: their ids begin alike`;
  return unknown(why, disk.at, disk.by);
}

/**
 * The id of a volume may have been replaced since its disk was plugged, and the disk keeps the serial of the
 * old one: while CloudStack shows the volume attached here, a disk whose serial names no volume that it shows
 * here may be it. Throws CloudError.
 */
async function unlessReplaced(
  { cloud, applianceVmId }: Pick<EvidenceParts, 'cloud' | 'applianceVmId'>,
  disk: Evidence<Device>,
  shown: VolumeEvidence['cloudstack'],
  { devices, others = [] }: DeviceSnapshot,
): Promise<Evidence<Device>> {
  const vmId = applianceVmId();
  if (disk.kind !== 'absent' || vmId === null || shown.kind !== 'seen' || shown.value.vmId !== vmId)
    return disk;
  const here = await cloud.listVolumes({ vmId });
  const strangers = [...devices, ...others.map(asDevice)].filter(
    ({ root, serial }) => root !== true && !here.some(({ id }) => serialNames(id, serial)),
  );
  if (strangers.length === 0) return disk;
  const paths = strangers.map(({ path }) => path).join(', ');
  const why = `no disk has its serial, and CloudStack shows no volume here that has the serial of ${paths}: its id may have been replaced`;
  return unknown(why, disk.at, disk.by);
}

async function withUsers(
  { guest }: Pick<EvidenceParts, 'guest'>,
  disk: Evidence<Device>,
): Promise<VolumeEvidence['guest']> {
  if (disk.kind !== 'seen') return disk;
  const users = (await guest.holders([disk.value])).get(disk.value.path) ?? [];
  return { ...disk, value: { ...disk.value, users } };
}

async function fromExportServer(
  { exports, clock }: EvidenceParts,
  volumeId: string,
): Promise<VolumeEvidence['exportServer']> {
  if (exports.kind === 'none') return absent('exports are switched off', clock.now(), 'export-server');
  const name = exportName(volumeId);
  const found = (await exports.list()).find((one) => one.name === name);
  if (!found) return absent('it has no export of this name', clock.now(), 'export-server');
  const { connected } = await exports.clients(name);
  return seen({ target: found.target, clients: connected.length }, clock.now(), 'export-server');
}
