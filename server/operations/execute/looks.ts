import type { CloudSnapshot, CloudVm, CloudVolume } from '../../cloudstack/cloud';
import {
  knowOwnDelete,
  knowOwnSnapshotDelete,
  lookUpSnapshot,
  lookUpVm,
  lookUpVolume,
} from '../../cloudstack/look-up';
import { LIMITS } from '../../core/limits';
import { absent, type Evidence, seen } from '../../model/evidence';
import type { Mapping } from '../../model/operation';
import { hasEndedWell } from '../decide/failure';
import { Journal } from '../journal';
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

/** Throws CloudError, and DATABASE_UNAVAILABLE: whether we have expunged the VM is in the journals. */
export function readVm(run: RunContext, vmId: string): Promise<Evidence<CloudVm>> {
  const { cloud, policy } = run.parts;
  return run.active(async () =>
    knowOwnExpunge(run, vmId, await lookUpVm(cloud, vmId, policy().applianceVmId)),
  );
}

/**
 * As knowOwnDelete, of the test VM of a cleanup: one that an earlier cleanup has expunged. A VM that it has
 * destroyed only may have been recovered.
 */
async function knowOwnExpunge(
  { operation, parts: { ledger } }: RunContext,
  vmId: string,
  shown: Evidence<CloudVm>,
): Promise<Evidence<CloudVm>> {
  if (shown.kind !== 'unknown' || operation.type !== 'cleanup') return shown;
  const { test_vm_id: testVmId, oma_vm_id: here } = operation.request;
  if (testVmId !== vmId) return shown;
  const filter = { type: 'cleanup', vmId: here, status: 'completed', limit: LIMITS.LIST_MAX } as const;
  for (const { id, request, response } of await ledger.listOperations(filter)) {
    if (!('test_vm_id' in request) || request.test_vm_id !== vmId || response?.vm_deleted !== true) continue;
    const journal = new Journal(await ledger.readJournal(id));
    if (!hasEndedWell(journal, 'destroy-vm') || journal.intent('destroy-vm')?.expunge === false) continue;
    return absent(`operation ${id} has expunged it, and CloudStack does not show it`, shown.at, shown.by);
  }
  return shown;
}

/** Throws CloudError, and DATABASE_UNAVAILABLE: as readVolume. */
export function readSnapshot(run: RunContext, snapshotId: string): Promise<Evidence<CloudSnapshot>> {
  const { cloud, ledger, policy } = run.parts;
  return run.active(async () => {
    const shown = await lookUpSnapshot(cloud, snapshotId, policy().applianceVmId);
    return knowOwnSnapshotDelete(ledger, snapshotId, shown);
  });
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
