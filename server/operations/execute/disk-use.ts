import { rootDevices } from '../../devices/correlation';
import { asDevice, type Device, type DeviceSnapshot, type Holder } from '../../devices/device';
import { describeHolders, mayPass, settled, settledHolders, systemUsers } from '../../devices/disk-users';
import { type RecordedIdentity, verifiedDevice } from '../../devices/identity';
import { isVolumeSerial, serialNames } from '../../devices/serial';
import type { ExportClients } from '../../exports/export-server';
import { exportName } from '../../model/export-name';
import type { Mapping } from '../../model/operation';
import type { DiskUse, IgnoredUsers } from '../decision';
import type { RunContext } from './run-context';

/**
 * Who uses the disk of a volume. Where the disk is not known, the users of every disk that may be it: only if
 * none of them is in use does it not matter which one it is. Users that are not `ignored` are waited for
 * while they may be gone in a moment; null: nobody is waited for. `attachedHere`: CloudStack says so; then a
 * disk on a bus on which no volume is looked for may be it, and one with the serial of a volume that is not
 * attached here: the id of a volume may have been replaced since its disk was plugged. Throws CloudError and
 * DATABASE_UNAVAILABLE.
 */
export async function readUse(
  run: RunContext,
  volumeId: string,
  { ignored, attachedHere }: { readonly ignored: IgnoredUsers | null; readonly attachedHere: boolean },
): Promise<DiskUse> {
  const { ledger, traffic, clock } = run.parts;
  const { applianceVmId } = run.parts.policy();
  const mappings = applianceVmId === null ? [] : await run.active(() => ledger.listMappings(applianceVmId));
  const here = attachedHere && applianceVmId !== null ? applianceVmId : null;
  let listed: Promise<readonly string[]> | null = null;
  const others = here === null ? null : () => (listed ??= othersShownIn(run, volumeId, here));
  // The disk, too, is looked for again each time: it may leave meanwhile.
  const look = async () => {
    const candidates = await candidatesFor(run, volumeId, mappings, others);
    return { ...candidates, holders: await holdersOf(run, volumeId, candidates) };
  };
  const passing = (found: { readonly holders: readonly Holder[] }) => passingUsers(found.holders, ignored);
  const { device, disks, holders } = await settled(clock, look, passing, patience(run));
  const disk = device ? 'found' : disks.length === 0 ? 'not-there' : 'unclear';
  const isServed = holders.some(({ kind }) => kind === 'nbd-client');
  // Two disks with one serial: nobody knows which one the clients use.
  if (!isServed || device === null || disks.length !== 1) return { disk, holders };
  return { disk, holders, traffic: await traffic.settled(device) };
}

interface Candidates {
  /** The disk of the volume; null when it is not known. */
  readonly device: Device | null;
  /** All that may be it. */
  readonly disks: readonly Device[];
}

/**
 * `othersHere`: the other volumes that CloudStack shows attached here; null: it does not say that this one
 * is.
 */
async function candidatesFor(
  run: RunContext,
  volumeId: string,
  mappings: readonly Mapping[],
  othersHere: (() => Promise<readonly string[]>) | null,
): Promise<Candidates> {
  const snapshot = await run.parts.watcher.scan();
  const others = (snapshot.others ?? []).map(asDevice);
  const namesakes = [...snapshot.devices, ...others].filter(({ serial }) => serialNames(volumeId, serial));
  const mapping = mappings.find((one) => one.volumeId === volumeId) ?? null;
  const device = deviceOfVolume(snapshot, volumeId, mapping) ?? namesakes[0] ?? null;
  if (namesakes.length > 0) return { device, disks: namesakes };
  if (device) return { device, disks: [device] };
  if (othersHere === null) return { device, disks: suspects(snapshot, volumeId, mappings) };
  const roots = rootDevices(snapshot);
  const disks = [...snapshot.devices.filter(({ name }) => !roots.has(name)), ...others];
  if (disks.length === 0) return { device, disks };
  // Neither a serial nor a row proves anything by an id that CloudStack does not show here (any more).
  const ids = await othersHere();
  const shown = mappings.filter((one) => ids.includes(one.volumeId));
  const taken = namesOfOthers(snapshot, volumeId, shown);
  const isOthers = ({ name, serial }: Device) => taken.has(name) || ids.some((id) => serialNames(id, serial));
  return { device, disks: disks.filter((disk) => !isOthers(disk)) };
}

/**
 * A list that leaves out the volume itself, which CloudStack has just shown here, is older than
 * that: it tells nothing.
 */
async function othersShownIn(run: RunContext, volumeId: string, vmId: string): Promise<readonly string[]> {
  const listed = await run.active(() => run.parts.cloud.listVolumes({ vmId }));
  const ids = listed.map(({ id }) => id);
  return ids.includes(volumeId) ? ids.filter((id) => id !== volumeId) : [];
}

async function holdersOf(
  run: RunContext,
  volumeId: string,
  { device, disks }: Candidates,
): Promise<readonly Holder[]> {
  const { guest, exports } = run.parts;
  const users = disks.length === 0 ? [] : [...(await guest.holders(disks))];
  const found = users.flatMap(([path, holders]) => (device ? holders : holders.map(named(path))));
  // The export server also knows clients of a disk that is not found.
  const served = clientHolders(await exports.clients(exportName(volumeId)));
  const seen = found.filter((holder) => holder.kind === 'nbd-client');
  return served.length <= seen.length ? found : [...systemUsers(found), ...served];
}

/** Who is waited for: those in the way, when all of them may be gone in a moment. Pure. */
function passingUsers(holders: readonly Holder[], ignored: IgnoredUsers | null): readonly Holder[] {
  if (ignored === null) return [];
  const { users, clients } = ignored;
  // Whether a connected client is in the way may depend on what flows; one that has left flows no more.
  const inTheWay = holders.filter(({ kind, leaving }) => {
    if (kind !== 'nbd-client') return !users;
    return clients === 'when-idle' ? leaving === true : !clients;
  });
  return mayPass(inTheWay) ? inTheWay : [];
}

function clientHolders({ connected, leaving }: ExportClients): Holder[] {
  return [
    ...connected.map((detail) => ({ kind: 'nbd-client' as const, detail })),
    ...leaving.map((detail) => ({ kind: 'nbd-client' as const, detail, leaving: true as const })),
  ];
}

/** Who uses this device, after users that may be gone in a moment have been waited for. */
export async function readUseOf(run: RunContext, device: Device): Promise<DiskUse> {
  const { guest, clock } = run.parts;
  const users = await settledHolders(guest, clock, [device], patience(run));
  return { disk: 'found', holders: users.get(device.path) ?? [] };
}

function patience(run: RunContext) {
  return {
    signal: run.signal,
    onWait: (users: readonly Holder[]) =>
      run.announce('in-use', `the disk is in use, perhaps for a moment: ${describeHolders(users)}`),
  };
}

function named(path: string): (holder: Holder) => Holder {
  return (holder) => ({ ...holder, detail: `${path}: ${holder.detail}` });
}

/** The guest's disk of a volume: found by its serial, or by the mapping where disks have none. */
export function deviceOfVolume(
  snapshot: DeviceSnapshot,
  volumeId: string,
  mapping: RecordedIdentity | null,
): Device | null {
  const bySerial = snapshot.devices.find((device) => serialNames(volumeId, device.serial));
  if (bySerial) return bySerial;
  return mapping && verifiedDevice(mapping, snapshot).device;
}

/**
 * Disks that may be this volume: without the serial of a volume (a text of the emulator names nobody), not
 * the system's, and not proven to be another volume's.
 */
function suspects(snapshot: DeviceSnapshot, volumeId: string, mappings: readonly Mapping[]): Device[] {
  const roots = rootDevices(snapshot);
  const taken = namesOfOthers(snapshot, volumeId, mappings);
  return snapshot.devices.filter(
    ({ name, serial }) => !isVolumeSerial(serial) && !roots.has(name) && !taken.has(name),
  );
}

/** The names of the disks that are proven to be other volumes'. */
export function namesOfOthers(
  snapshot: DeviceSnapshot,
  volumeId: string,
  mappings: readonly Mapping[],
): Set<string> {
  return new Set(
    mappings
      .filter((mapping) => mapping.volumeId !== volumeId)
      .flatMap((mapping) => deviceOfVolume(snapshot, mapping.volumeId, mapping)?.name ?? []),
  );
}
