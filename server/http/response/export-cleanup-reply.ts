import type { OrphanCleanup, OrphanReport } from '../../sync/orphaned-exports';
import { exportCleanupSchema, orphanCountSchema } from '../schemas/exports';
import { replyOf } from './reply-of';

const NANOSECONDS_PER_MS = 1_000_000;
const details = exportCleanupSchema.shape.orphaned_export_details.element;

export function exportCleanupReply(
  { configured, orphans, unserved, withdrawn, failures }: OrphanCleanup,
  { dryRun, tookMs }: { readonly dryRun: boolean; readonly tookMs: number },
) {
  return replyOf(exportCleanupSchema, {
    dryRun,
    totalExports: configured,
    orphanedExports: orphans.length,
    cleanedExports: withdrawn.length,
    failedCleanups: failures.length,
    orphanedExportDetails: orphans.map(({ name, volumeId, target, since }) =>
      replyOf(details, { volumeId, exportName: name, devicePath: target, since }),
    ),
    cleanupErrors: failures,
    configFilesValidated: configured,
    databaseInconsistencies: unserved,
    operationTime: Math.round(tookMs * NANOSECONDS_PER_MS),
  });
}

export function orphanCountReply({ orphans }: OrphanReport, now: number) {
  return replyOf(orphanCountSchema, { orphanedExportsCount: orphans.length, timestamp: now });
}
