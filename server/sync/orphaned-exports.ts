import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { ConfiguredExport } from '../exports/export-server';
import type { ExportServiceParts } from '../exports/export-service';
import { whoStays } from '../exports/who-stays';
import { type Caller, callerNames } from '../model/operation';

/** An export that no mapping to this appliance stands behind. */
export interface OrphanedExport extends ConfiguredExport {
  /** Wall clock ms of the last operation on the volume; null when none is known, so that its age is not. */
  readonly since: number | null;
}

/** What there is, before anything is withdrawn. */
export interface OrphanReport {
  /** How many exports the export server has. */
  readonly configured: number;
  readonly orphans: readonly OrphanedExport[];
  /** Active rows of which the export server has no export, as sentences; sync publishes them again. */
  readonly unserved: readonly string[];
}

/** The same, and what was done. */
export interface OrphanCleanup extends OrphanReport {
  /** Names of those that are withdrawn; empty in a dry run. */
  readonly withdrawn: readonly string[];
  /** Why some were left, as sentences. */
  readonly failures: readonly string[];
}

export type OrphanParts = Pick<ExportServiceParts, 'ledger' | 'server' | 'clock' | 'events' | 'owner'>;

/** What operators ask of exports that belong to nobody; sync withdraws them by itself. */
export class OrphanedExports {
  constructor(private readonly parts: OrphanParts) {}

  readonly find = (): Promise<OrphanReport> => findOrphans(this.parts);

  readonly withdraw = (options: CleanupOptions): Promise<OrphanCleanup> =>
    withdrawOrphans(this.parts, options);
}

/**
 * Exports that belong to nobody: the export server has them, no mapping to this appliance does,
 * and no operation works on their volume. Throws DATABASE_UNAVAILABLE and what says that this
 * daemon is not the owner.
 */
export async function findOrphans(parts: OrphanParts): Promise<OrphanReport> {
  const { applianceVmId } = parts.owner();
  const ledger = parts.ledger();
  // The exports first: a mapping is written before its export, so none is missed.
  const configured = await parts.server.list();
  const [busy, mappings, records] = await Promise.all([
    ledger.busyVolumes(applianceVmId),
    ledger.listMappings(applianceVmId),
    ledger.listExports({ status: 'active' }),
  ]);
  const mapped = new Set(mappings.map(({ volumeId }) => volumeId));
  const orphans = configured.filter(({ volumeId }) => !mapped.has(volumeId) && !busy.has(volumeId));
  const rows = await ledger.readVolumeRows(orphans.map(({ volumeId }) => volumeId));
  const served = new Set(configured.map(({ volumeId }) => volumeId));
  return {
    configured: configured.length,
    orphans: orphans.map((orphan) => ({
      ...orphan,
      since: rows.get(orphan.volumeId)?.lastOperation?.updatedAt ?? null,
    })),
    unserved: records
      .filter(({ volumeId }) => mapped.has(volumeId) && !served.has(volumeId) && !busy.has(volumeId))
      .map(
        ({ exportName }) => `the row of ${exportName} says active, and the export server has no such export`,
      ),
  };
}

/** Which orphans are withdrawn, and for whom. */
export interface CleanupOptions {
  readonly dryRun: boolean;
  /** Wall clock ms. */
  readonly idleSince?: number | null;
  /** Who asks, for the journal. */
  readonly caller?: Caller | null;
}

/**
 * Withdraws orphans, as sync does at every run. One that has clients, or that has got a mapping or an
 * operation meanwhile, is left. With `idleSince` (wall clock ms) also one whose volume was worked on after
 * that, or at a time that is not known.
 */
export async function withdrawOrphans(
  parts: OrphanParts,
  { dryRun, idleSince = null, caller = null }: CleanupOptions,
): Promise<OrphanCleanup> {
  const found = await findOrphans(parts);
  const failures: string[] = [];
  const orphans = found.orphans.filter(({ name, since }) => {
    if (idleSince === null) return true;
    if (since === null) failures.push(`${name} is left: it is not known since when nobody needs it`);
    return since !== null && since <= idleSince;
  });
  const withdrawn: string[] = [];
  if (!dryRun)
    await mapConcurrent(orphans, LIMITS.PROBES_AT_ONCE, async (orphan) => {
      try {
        const why = await whyKept(parts, orphan);
        if (why === null) withdrawn.push(await withdraw(parts, orphan, caller));
        else failures.push(`${orphan.name} is left: ${why}`);
      } catch (error) {
        failures.push(`${orphan.name}: ${messageOf(error)}`);
      }
    });
  return { ...found, orphans, withdrawn, failures };
}

/** Looked at again right before the act. */
async function whyKept(parts: OrphanParts, { name, volumeId }: OrphanedExport): Promise<string | null> {
  const clients = await whoStays(parts, name);
  if (clients.length > 0) return `clients are connected: ${clients.join('; ')}`;
  const { applianceVmId } = parts.owner();
  const ledger = parts.ledger();
  if ((await ledger.readMapping(volumeId))?.vmId === applianceVmId) return 'its volume has a mapping now';
  return (await ledger.busyVolumes(applianceVmId)).has(volumeId)
    ? 'an operation works on its volume now'
    : null;
}

async function withdraw(
  parts: OrphanParts,
  { name, volumeId, published }: OrphanedExport,
  caller: Caller | null,
): Promise<string> {
  const { epoch } = parts.owner();
  await parts.server.withdraw(name, { published });
  const data = { volume_id: volumeId, orphan: true, ...callerNames(caller) };
  const note = { step: 'export:withdraw', state: 'note', data } as const;
  parts.events.publish([await parts.ledger().auditedChange(epoch, [], note)]);
  return name;
}
