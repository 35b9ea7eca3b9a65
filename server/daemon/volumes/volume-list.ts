import type { CloudVolume } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import type { VolumeRows } from '../../model/ledger';
import type { Catalogue, ListedVolume } from '../../sync/volume-catalogue';

/** Which volumes of the catalogue, and where the page begins. */
export interface VolumeFilter {
  /** Part of the name, in any case. */
  readonly name?: string | undefined;
  /** CloudStack's state. */
  readonly state?: string | undefined;
  readonly vmId?: string | undefined;
  readonly attached?: boolean | undefined;
  readonly projectId?: string | undefined;
  /** The page begins after the volume with this id, whether it still exists or not. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** One line of the list. */
export interface VolumeSummary extends ListedVolume {
  /** The device of the mapping is checked, as in every answer that names one. */
  readonly rows: VolumeRows;
}

/** A page of volumes, and how fresh what it shows is. */
export interface VolumePage extends Omit<Catalogue, 'volumes'> {
  readonly volumes: readonly VolumeSummary[];
  /** The id to go on after; null on the last page. */
  readonly next: string | null;
  /** Volumes with a mapping that CloudStack does not show: no filter can be applied to them. */
  readonly notShown: number;
}

interface Slice {
  readonly volumes: readonly ListedVolume[];
  readonly next: string | null;
}

/**
 * The volumes of one page, in the order of their ids: a page that is read while volumes come and go leaves
 * out none that stays, and shows none twice. `volumes` is in that order. With a filter, a volume that
 * CloudStack does not show is left out: it is not known whether it matches. Pure.
 */
export function sliceOf(volumes: readonly ListedVolume[], filter: VolumeFilter): Slice {
  const limit = Math.min(filter.limit, LIMITS.LIST_MAX);
  const page: ListedVolume[] = [];
  for (let index = firstAfter(volumes, filter.after); index < volumes.length; index += 1) {
    const one = volumes[index];
    if (one === undefined || !matches(one, filter)) continue;
    if (page.length === limit) return { volumes: page, next: page.at(-1)?.id ?? null };
    page.push(one);
  }
  return { volumes: page, next: null };
}

function matches({ volume }: ListedVolume, filter: VolumeFilter): boolean {
  const { name, state, vmId, attached, projectId } = filter;
  if (volume.kind !== 'seen')
    return [name, state, vmId, attached, projectId].every((wanted) => wanted === undefined);
  const { value } = volume;
  return (
    (name === undefined || contains(value, name)) &&
    (state === undefined || value.state.toLowerCase() === state.toLowerCase()) &&
    (vmId === undefined || value.vmId === vmId) &&
    (attached === undefined || (value.vmId !== null) === attached) &&
    (projectId === undefined || value.owner.projectId?.toLowerCase() === projectId)
  );
}

function contains({ name }: CloudVolume, part: string): boolean {
  return name.toLowerCase().includes(part.toLowerCase());
}

/** The index of the first volume with a greater id. */
function firstAfter(volumes: readonly ListedVolume[], id: string | undefined): number {
  if (id === undefined) return 0;
  let [low, high] = [0, volumes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((volumes[middle]?.id ?? '') <= id) low = middle + 1;
    else high = middle;
  }
  return low;
}
