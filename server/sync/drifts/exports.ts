import type { Device } from '../../devices/device';
import { compareSize } from '../../devices/disk-size';
import { isReadOnly, isWithdrawn } from '../../model/export-metadata';
import { exportName } from '../../model/export-name';
import type { Mapping } from '../../model/operation';
import type { DriftKind } from '../drift';
import { mended, type Repair, type RepairStep } from '../repair';
import type { View } from '../view';

/** The mapping is right: checks that the volume is exported and its export leads to the device. */
export function judgeExport(view: View, mapping: Mapping, device: Device): Repair[] {
  const { volumeId } = mapping;
  const steps = publication(view, volumeId, device);
  if (steps.length === 0 || view.o.configured === null) return [];
  if (steps.some(({ kind }) => kind === 'withdraw')) return misleadingExport(view, mapping);
  const problem = problemOf(view, volumeId, device);
  if (problem === null) return [];
  const { kind, message } = problem;
  const found = { kind, volumeId, vmId: view.o.applianceVmId, devicePath: device.path, message };
  return [
    mended(
      found,
      steps,
      'force-sync publishes it again; if it stays: systemctl restart volume-daemon-nbd.service',
    ),
  ];
}

/**
 * What is wrong with the export. Publishing is idempotent, so a missing and an unhealthy export have the same
 * repair.
 */
function problemOf(
  view: View,
  volumeId: string,
  device: Device,
): { kind: DriftKind; message: string } | null {
  const record = view.record(volumeId);
  const served = view.served(volumeId);
  if (!record) return { kind: 'missing-export', message: 'the mapped volume has no export' };
  if (!served) return { kind: 'missing-export', message: 'the export server has no such export' };
  const sick = (message: string) => ({ kind: 'unhealthy-export' as const, message });
  if (served.target !== device.path)
    return sick(`the export leads to ${served.target ?? 'nothing'} instead of ${device.path}`);
  const probe = view.o.probes.get(served.name);
  if (probe && !probe.ok) return sick(`the export does not answer: ${probe.message}`);
  if (probe?.ok && probe.size !== device.size)
    return sick(`the export answers with ${probe.size} bytes, the device has ${device.size}`);
  // Another export server has taken over, or a daemon ended between the export and its row.
  if (probe?.ok && probe.readOnly !== isReadOnly(record))
    return sick(`the export ${probe.readOnly ? 'is read-only' : 'can be written'}, its row says otherwise`);
  if (record.status !== 'active') return sick(`the export row says ${record.status}`);
  const port = view.o.exportPorts[isReadOnly(record) ? 'readOnly' : 'writable'];
  if (record.port !== port) return sick(`the export row says port ${record.port} instead of ${port}`);
  return record.devicePath === device.path
    ? null
    : sick(`the export row says ${record.devicePath} instead of ${device.path}`);
}

/**
 * The guest has no disk of the volume, or one that has become too small, or somebody has withdrawn the
 * export: it must lead to nothing.
 */
export function misleadingExport(view: View, mapping: Mapping): Repair[] {
  const { volumeId, vmId } = mapping;
  const devicePath = leads(view, volumeId);
  if (devicePath === null) return [];
  const message = `the export leads to ${devicePath}, and must lead to nothing`;
  const found = { kind: 'unhealthy-export' as const, volumeId, vmId, devicePath, message };
  return [mended(found, [{ kind: 'withdraw', exportName: exportName(volumeId) }])];
}

/**
 * Export files of ours whose volume has no mapping to this guest are withdrawn, so that they fail closed; all
 * of them while exports are switched off, because nobody watches where they lead.
 */
export function judgeOrphans(view: View, claimed: ReadonlySet<string>): Repair[] {
  const { applianceVmId: vmId, busy, configured, exportsEnabled } = view.o;
  const why = exportsEnabled ? 'belongs to no mapping' : 'is from before exports were switched off';
  return (configured ?? [])
    .filter(
      ({ volumeId }) =>
        !busy.has(volumeId) &&
        !claimed.has(volumeId) &&
        (!exportsEnabled || view.mapping(volumeId)?.vmId !== vmId),
    )
    .map(({ name, volumeId, target }) => {
      const message = `the export ${name} ${why}`;
      const found = { kind: 'orphan-export' as const, volumeId, vmId, devicePath: target, message };
      const steps: RepairStep[] = [{ kind: 'withdraw', exportName: name }];
      // Of a mapping: who reads the row is not sent to an export that is not there.
      if (!exportsEnabled && view.record(volumeId)?.status === 'active')
        steps.push({ kind: 'rows', effects: [{ kind: 'set-export-status', volumeId, status: 'pending' }] });
      return mended(found, steps);
    });
}

/**
 * Publishes the volume's export with this device; no step when it was withdrawn on purpose, or when it is not
 * known that the disk is large enough.
 */
export function publication(view: View, volumeId: string, device: Device): RepairStep[] {
  if (!view.o.exportsEnabled) return [];
  if (!isKeptBack(view, volumeId) && isLargeEnough(view, volumeId, device))
    return [{ kind: 'publish', volumeId, device, bootId: view.bootId }];
  return leads(view, volumeId) === null ? [] : [{ kind: 'withdraw', exportName: exportName(volumeId) }];
}

/** Where the export of the volume leads; null: nowhere. */
export function leads(view: View, volumeId: string): string | null {
  return view.served(volumeId)?.target ?? null;
}

/**
 * By what CloudStack says. While it does not show the volume, an export that was right stays so as long as
 * the disk has not become smaller than its mapping says; another one is not published.
 */
function isLargeEnough(view: View, volumeId: string, { size }: Device): boolean {
  const volume = view.volume(volumeId);
  if (volume === 'absent') return false;
  if (volume !== 'unseen') return compareSize(size, volume.size, view.o.sizeToleranceBytes) === 'fits';
  const mapping = view.mapping(volumeId);
  return view.record(volumeId)?.status === 'active' && mapping !== null && size >= mapping.size;
}

function isKeptBack(view: View, volumeId: string): boolean {
  const record = view.record(volumeId);
  return record !== null && isWithdrawn(record);
}
