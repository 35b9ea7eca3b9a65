import type { Cloud, CloudVolume } from '../../cloudstack/cloud';
import { lookUpVolume, requireVolume } from '../../cloudstack/look-up';
import type { Clock } from '../../core/clock';
import type { ClockSteps } from '../../core/clock-steps';
import { DaemonError } from '../../core/errors';
import { isUuid } from '../../core/is-uuid';
import { LIMITS } from '../../core/limits';
import type { Ledger } from '../../model/ledger';
import { requireAppliance } from '../../sync/read-cloud';
import type { VolumeCatalogue } from '../../sync/volume-catalogue';
import { lookUpShown } from './volume-evidence';

/** How a reference has named its volume. */
export type MatchedBy = 'id' | 'id-prefix' | 'name';

export interface ResolvedVolume {
  readonly volume: CloudVolume;
  readonly matchedBy: MatchedBy;
  /** Wall clock ms of the look. */
  readonly at: number;
}

interface Parts {
  readonly cloud: Pick<Cloud, 'listVolumes' | 'readVolume' | 'readVm'>;
  readonly catalogue: Pick<VolumeCatalogue, 'look'>;
  readonly clock: Clock;
  readonly clockSteps: ClockSteps;
  ledger(): Pick<Ledger, 'listMappings' | 'listOperations'>;
  applianceVmId(): string | null;
}

/** The first 8 characters of a UUID, or more of them. */
const ID_PREFIX = /^[0-9a-f]{8}(-[0-9a-f-]{0,27})?$/i;

/** A volume that a reference may mean; `volume` is null when only its id is known here. */
interface Candidate {
  readonly id: string;
  readonly volume: CloudVolume | null;
  readonly matchedBy: MatchedBy;
}

/**
 * The one volume that is meant by an id, by the beginning of one, or by a name, as CloudStack shows it now:
 * never from the catalogue, for what follows may delete it. A reference that means more than one volume is
 * refused, whatever state they are in.
 *
 * Throws VOLUME_AMBIGUOUS with the candidates, VOLUME_NOT_VISIBLE when none is shown, VOLUME_NOT_FOUND for a
 * whole id that names nothing, VM_NOT_VISIBLE when the key does not see this appliance, and CloudError.
 *
 * @example
 * const { volume } = await resolveVolume(parts, 'web-1');
 */
export async function resolveVolume(parts: Parts, reference: string): Promise<ResolvedVolume> {
  const at = parts.clock.now();
  const whole = reference.toLowerCase();
  if (isUuid(whole)) {
    const volume = await lookUpShown(parts, whole);
    return { volume: requireVolume(volume, whole), matchedBy: 'id', at };
  }
  const candidates = ID_PREFIX.test(reference)
    ? await byPrefix(parts, reference)
    : await byName(parts, reference);
  const { id, volume, matchedBy } = only(reference, candidates);
  if (volume !== null) return { volume, matchedBy, at };
  const shown = await lookUpVolume(parts.cloud, id, parts.applianceVmId());
  return { volume: requireVolume(shown, id), matchedBy, at };
}

/** Eight hexadecimal characters may be a name as well, so both meanings count. */
async function byPrefix(parts: Parts, reference: string): Promise<Candidate[]> {
  const mappings = await parts.ledger().listMappings();
  const { volumes, hidden, absent } = await parts.catalogue.look(
    parts.applianceVmId(),
    mappings.map(({ volumeId }) => volumeId),
  );
  const prefix = reference.toLowerCase();
  const shown = volumes.flatMap((volume): Candidate[] => {
    const { id } = volume;
    if (id.startsWith(prefix)) return [{ id, volume, matchedBy: 'id-prefix' }];
    return volume.name === reference ? [{ id, volume, matchedBy: 'name' }] : [];
  });
  const others = [...hidden.keys(), ...absent.keys()]
    .filter((id) => id.startsWith(prefix))
    .map((id): Candidate => ({ id, volume: null, matchedBy: 'id-prefix' }));
  return [...shown, ...others];
}

/**
 * CloudStack compares names without regard to case, accents and spaces at the end: only the exact one counts.
 */
async function byName({ cloud, applianceVmId }: Parts, name: string): Promise<Candidate[]> {
  await requireAppliance(cloud, applianceVmId());
  const shown = await cloud.listVolumes({ name });
  return shown
    .filter((volume) => volume.name === name)
    .map((volume) => ({ id: volume.id, volume, matchedBy: 'name' }));
}

function only(reference: string, candidates: readonly Candidate[]): Candidate {
  const [first, second] = candidates;
  if (first && !second) return first;
  const details = {
    reference,
    candidates: candidates.slice(0, LIMITS.CANDIDATES).map(({ id, volume }) => ({
      volume_id: id,
      name: volume?.name ?? null,
      state: volume?.state ?? null,
      vm_id: volume?.vmId ?? null,
    })),
  };
  if (first)
    throw new DaemonError(
      'VOLUME_AMBIGUOUS',
      `${JSON.stringify(reference)} may mean any of ${candidates.length} volumes: ${details.candidates.map(textOf).join('; ')}`,
      { details },
    );
  throw new DaemonError(
    'VOLUME_NOT_VISIBLE',
    `No volume that this key sees is named ${JSON.stringify(reference)}, or has an id that begins with it: not found`,
    { details: { reference } },
  );
}

function textOf({
  volume_id,
  name,
  state,
  vm_id,
}: Record<'volume_id' | 'name' | 'state' | 'vm_id', string | null>) {
  const where = vm_id === null ? 'detached' : `on VM ${vm_id}`;
  return name === null ? `${volume_id} (not shown)` : `${volume_id} (${name}, ${state}, ${where})`;
}
