import { DaemonError } from '../../core/errors';
import { compareSize } from '../../devices/disk-size';
import { unchanged, verifiedDevice } from '../../devices/identity';
import { type ExportTarget, rowOf, targetOf } from '../../exports/export-server';
import { expectedMetadata, isReadOnly, isWithdrawn } from '../../model/export-metadata';
import { exportName } from '../../model/export-name';
import type { Operation } from '../../model/operation';
import type { Action } from '../action';
import type { RunContext } from './run-context';

/**
 * Publishes a device that was correlated for this volume, after one more scan of the guest: if another disk
 * has the path by now, nothing is exported and the device is correlated again. Returns the operation when
 * it has ended with it.
 */
export async function publishDevice(
  run: RunContext,
  { volumeId, device, completes }: Extract<Action, { do: 'publish' }>,
): Promise<Operation | null> {
  const now = unchanged(device, await run.parts.watcher.scan());
  if (now === null) {
    run.forget(['volume', 'device', 'use', 'published']);
    return null;
  }
  const target = targetOf(volumeId, now);
  if (!(await tryPublish(run, target))) return null;
  const data = { export_name: target.name, device_path: now.path };
  const change = {
    entries: [{ step: 'publish' as const, state: 'done' as const, data }],
    effects: [{ kind: 'put-export' as const, record: exportRecord(run, target) }],
  };
  try {
    if (completes) return await run.complete(completes, change);
    await run.record({ ...change, waiting: null });
  } catch (error) {
    if (!(error instanceof DaemonError) || error.code !== 'MAPPING_NOT_FOUND') throw error;
    await mapAgain(run, target.name);
    return null;
  }
  run.learn({ published: true });
  return null;
}

/**
 * The mapping that this operation has just written was deleted by somebody else: without it nothing is
 * exported, and the device is correlated and mapped again.
 */
async function mapAgain(run: RunContext, name: string): Promise<void> {
  await run.parts.exports.withdraw(name);
  // It names the disk: without serials nothing else tells that the guest still has it.
  const data = { ...run.journal.done('map'), reason: 'the mapping was deleted by somebody else' };
  await run.record({ entries: [{ step: 'unmap', state: 'done', data }], waiting: null });
  run.forget(['device', 'use', 'mapping', 'published']);
}

/**
 * Publishes the export of a volume that is still attached again (undo of `withdraw`); not one that somebody
 * had withdrawn on purpose.
 */
export async function republish(run: RunContext, volumeId: string): Promise<void> {
  const record = await run.parts.ledger.readExport(volumeId);
  if (record !== null && isWithdrawn(record)) {
    const data = { export_name: exportName(volumeId), withdrawn: true };
    await run.record({ entries: [{ step: 'republish', state: 'done', data }] });
    return;
  }
  const mapping = await run.parts.ledger.readMapping(volumeId);
  const snapshot = await run.parts.watcher.scan();
  const { device, reason } = mapping
    ? verifiedDevice(mapping, snapshot)
    : { device: null, reason: 'the mapping is gone' };
  if (device === null) {
    run.learn({ publishError: { code: 'DEVICE_IDENTITY_MISMATCH', message: reason } });
    return;
  }
  const { volume } = run.facts;
  const size = volume?.kind === 'seen' ? volume.value.size : null;
  const fit = compareSize(device.size, size, run.parts.settings.sizeToleranceBytes);
  if (fit !== 'fits') {
    const message = `${device.path} has ${device.size} bytes where CloudStack says ${size ?? 'nothing'}`;
    run.learn({
      publishError: { code: fit === 'smaller' ? 'DEVICE_TOO_SMALL' : 'DEVICE_IDENTITY_MISMATCH', message },
    });
    return;
  }
  const readOnly = record !== null && isReadOnly(record);
  if (!(await tryPublish(run, targetOf(volumeId, device, readOnly)))) return;
  await run.record({
    entries: [{ step: 'republish', state: 'done', data: { export_name: exportName(volumeId) } }],
    effects: [{ kind: 'set-export-status', volumeId, status: 'active' }],
  });
}

/** Once this is journaled no new client can reach the volume, and the export's row says so. */
export async function withdraw(run: RunContext, volumeId: string, force: boolean): Promise<void> {
  await run.parts.exports.withdraw(exportName(volumeId), { force });
  await run.record({
    entries: [{ step: 'withdraw', state: 'done', data: { export_name: exportName(volumeId), force } }],
    effects: [{ kind: 'set-export-status', volumeId, status: 'pending' }],
    waiting: null,
  });
  // A client may have connected before the export was withdrawn: who uses the disk is read again. And whether
  // it is gone: a look that only asked whether the disk is here did not wait for it to leave.
  run.forget(['use', 'published', 'gone']);
}

/**
 * The device path that an export of this volume leads to, or null. A row may have been deleted by somebody
 * else; the link is what clients get.
 */
export async function exportedDevice(run: RunContext, volumeId: string): Promise<string | null> {
  const configured = await run.parts.exports.list();
  return configured.find((one) => one.volumeId === volumeId)?.target ?? null;
}

async function tryPublish(run: RunContext, target: ExportTarget): Promise<boolean> {
  try {
    await run.parts.exports.publish(target);
    return true;
  } catch (error) {
    if (!(error instanceof DaemonError) || error.code === 'LEASE_LOST') throw error;
    run.learn({ publishError: { code: error.code, message: error.message } });
    return false;
  }
}

function exportRecord(run: RunContext, target: ExportTarget) {
  const { operation } = run;
  const expectedBytes = operation.type === 'attach' ? operation.request.expected_bytes : undefined;
  const metadata = { created_by: 'volume-daemon', created_via: 'attach', ...expectedMetadata(expectedBytes) };
  return rowOf(target, run.parts.exports.portOf(target), metadata);
}
