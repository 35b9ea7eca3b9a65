import type { CloudSnapshot, CloudVolume } from '../../cloudstack/cloud';
import { knowOwnDelete, lookUpSnapshot, lookUpVm, lookUpVolume } from '../../cloudstack/look-up';
import { absent, type Evidence, seen } from '../../model/evidence';
import type { Mapping } from '../../model/operation';
import type { RunContext } from './run-context';

/** Throws CloudError, and DATABASE_UNAVAILABLE: whether we have deleted the volume is in the journals. */
export function readVolume(run: RunContext, volumeId: string): Promise<Evidence<CloudVolume>> {
  const { cloud, ledger, policy } = run.parts;
  return run.active(async () => {
    const shown = await lookUpVolume(cloud, volumeId, policy().applianceVmId);
    const known = await knowOwnDelete(ledger, volumeId, shown);
    return run.otherRuns.lastPlaces.doubt(volumeId, known, { id: run.operation.id, journal: run.journal });
  });
}

/** Throws CloudError. */
export function readVm(run: RunContext, vmId: string) {
  return run.active(() => lookUpVm(run.parts.cloud, vmId, run.parts.policy().applianceVmId));
}

/** Throws CloudError. */
export function readSnapshot(run: RunContext, snapshotId: string): Promise<Evidence<CloudSnapshot>> {
  return run.active(() => lookUpSnapshot(run.parts.cloud, snapshotId, run.parts.policy().applianceVmId));
}

/** CloudStack ignores case in names, and this one identifies what an operation has made. */
export async function findSnapshots(
  run: RunContext,
  { volumeId, name }: { readonly volumeId: string; readonly name: string },
): Promise<readonly CloudSnapshot[]> {
  const listed = await run.active(() => run.parts.cloud.listSnapshots({ volumeId, name }));
  return listed.filter((one) => one.name === name && one.volumeId === volumeId);
}

/** The row of the volume, of whatever VM. Throws DATABASE_UNAVAILABLE. */
export async function readMapping(run: RunContext, volumeId: string): Promise<Evidence<Mapping>> {
  const mapping = await run.active(() => run.parts.ledger.readMapping(volumeId));
  const at = run.parts.clock.now();
  return mapping ? seen(mapping, at, 'database') : absent('there is no row', at, 'database');
}
