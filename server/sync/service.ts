import type { Epoch } from '../database/ledger';
import { exportName } from '../exports/naming';
import type { Clock } from '../runtime/clock';
import type { Drift, SyncApi, SyncReport } from '../runtime/daemon';
import { DaemonError, messageOf } from '../runtime/errors';
import type { Logger } from '../runtime/logger';
import type { Observation } from './observation';
import { type ObserveParts, observe } from './observe';
import { plan, type Repair, type RepairStep } from './plan';

export interface SyncParts extends ObserveParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Throws STANDBY, STARTING, STOPPING or APPLIANCE_UNKNOWN when repairs are not ours to make. */
  owner(): { epoch: Epoch; applianceVmId: string };
  isBusyWith(volumeId: string): boolean;
}

/** observe → plan → apply, one run at a time (DESIGN section 6). */
export class SyncService implements SyncApi {
  last: SyncReport | null = null;
  private running: Promise<unknown> = Promise.resolve();
  private stuck = new Map<string, string>();

  constructor(private readonly parts: SyncParts) {}

  /** Runs of different kinds queue behind each other, so that a dry run is never answered with a real one. */
  run(options: { dryRun: boolean; reason: string }): Promise<SyncReport> {
    const next = this.running.then(
      () => this.once(options),
      () => this.once(options),
    );
    this.running = next.catch(() => undefined);
    return next;
  }

  private async once({ dryRun, reason }: { dryRun: boolean; reason: string }): Promise<SyncReport> {
    const { clock } = this.parts;
    const { epoch, applianceVmId } = this.parts.owner();
    const startedAt = clock.now();
    const observation = await observe(this.parts, applianceVmId, this.stuck);
    const repairs = plan(observation);
    const drifts: Drift[] = [];
    for (const repair of repairs) {
      drifts.push({ ...repair.drift, action: dryRun ? planned(repair) : await this.apply(epoch, repair) });
    }
    const report: SyncReport = {
      startedAt,
      finishedAt: clock.now(),
      dryRun,
      reason,
      observed: {
        cloudVolumes: observation.volumes?.length ?? 0,
        devices: observation.guest?.devices.length ?? 0,
        mappings: observation.mappings.length,
        exports: observation.exports.length,
      },
      unavailable: [...observation.unavailable],
      drifts,
      skippedVolumes: observation.busy.size,
    };
    if (!dryRun) {
      this.stuck = transitional(observation);
      this.last = report;
    }
    this.log(report);
    return report;
  }

  private async apply(epoch: Epoch, repair: Repair): Promise<Drift['action']> {
    const { volumeId } = repair.drift;
    if (repair.steps.length === 0) return 'reported';
    try {
      for (const step of repair.steps) {
        // An operation may have been accepted since the observation; it knows better.
        if (volumeId !== null && this.parts.isBusyWith(volumeId)) return 'reported';
        await this.applyStep(epoch, repair, step);
      }
      return 'repaired';
    } catch (error) {
      if (error instanceof DaemonError && error.code === 'LEASE_LOST') throw error;
      this.parts.logger.warn('Drift could not be repaired', {
        kind: repair.drift.kind,
        volume_id: volumeId,
        reason: messageOf(error),
      });
      return 'failed';
    }
  }

  private async applyStep(epoch: Epoch, { drift }: Repair, step: RepairStep): Promise<void> {
    const audit = {
      step: `sync:${drift.kind}`,
      state: 'note' as const,
      data: { volume_id: drift.volumeId, message: drift.message, repair: step.kind },
    };
    switch (step.kind) {
      case 'rows':
        return this.parts.ledger.repair(epoch, [...step.effects], audit);
      case 'withdraw':
        return this.parts.exports.withdraw(step.exportName);
      case 'publish': {
        const { device, volumeId } = step;
        const name = exportName(volumeId);
        const { port } = this.parts.exports;
        const record = {
          volumeId,
          exportName: name,
          devicePath: device.path,
          port,
          status: 'active' as const,
          metadata: { created_by: 'volume-daemon', created_via: 'sync' },
        };
        await this.parts.exports.publish({
          name,
          volumeId,
          devicePath: device.path,
          size: device.size,
          dev: device.dev,
        });
        return this.parts.ledger.repair(epoch, [{ kind: 'put-export', record }], audit);
      }
      default:
        return step satisfies never;
    }
  }

  private log(report: SyncReport): void {
    const { logger } = this.parts;
    for (const drift of report.drifts) {
      const fields = {
        kind: drift.kind,
        volume_id: drift.volumeId,
        device_path: drift.devicePath,
        reason: drift.message,
        action: drift.action,
      };
      if (drift.action === 'repaired' || drift.action === 'planned') logger.info('Drift found', fields);
      else logger.warn('Drift found', { ...fields, remedy: drift.remedy });
    }
    const quiet = report.drifts.length === 0 && report.unavailable.length === 0;
    logger[quiet ? 'debug' : 'info']('Sync finished', {
      reason: report.reason,
      dry_run: report.dryRun,
      drifts: report.drifts.length,
      unavailable: report.unavailable,
    });
  }
}

function planned(repair: Repair): Drift['action'] {
  return repair.steps.length === 0 ? 'reported' : 'planned';
}

/** What was seen in a transitional state: only what stays there until the next run is a drift. */
function transitional(observation: Observation): Map<string, string> {
  const settled = new Set(['Allocated', 'Ready', 'Uploaded', 'Destroy', 'Expunging', 'Expunged']);
  return new Map(
    (observation.volumes ?? [])
      .filter((volume) => !settled.has(volume.state))
      .map((volume) => [volume.id, volume.state]),
  );
}
