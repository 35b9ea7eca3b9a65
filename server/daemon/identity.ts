import { type Cloud, CloudError } from '../cloudstack/cloud';
import { type Clock, sleepUntilAny } from '../core/clock';
import { DaemonError } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { type ResolvedAppliance, resolveAppliance } from '../devices/resolve-appliance';

export interface ApplianceView {
  readonly vmId: string | null;
  readonly source: string | null;
  readonly conflicts: readonly string[];
  /**
   * confirmed: CloudStack shows the VM. refuted: it says that there is none. not-visible: it does not show it
   * to this key. unverified: not asked yet, or CloudStack was away.
   */
  readonly verdict: 'confirmed' | 'refuted' | 'not-visible' | 'unverified';
}

/**
 * Which VM this appliance is: OMA_VM_ID, else ossea_configs.oma_vm_id, else the SMBIOS UUID, checked against
 * CloudStack. Nothing is guessed: while it is unknown, refuted or not visible, attach and detach are refused.
 */
export class ApplianceIdentity {
  view: ApplianceView = { vmId: null, source: null, conflicts: [], verdict: 'unverified' };
  private doubts = new AbortController();

  constructor(
    private readonly parts: {
      cloud: Pick<Cloud, 'readVm'>;
      logger: Logger;
      configuredVmId: string | null;
      /** oma_vm_id of the active configuration row, null when there is none. */
      osseaVmId(): Promise<string | null>;
      productUuid(): Promise<string | null>;
    },
  ) {}

  /** Reads the sources again. Errors of the database are thrown; CloudStack is not asked. */
  async resolve(): Promise<ApplianceView> {
    const resolved = resolveAppliance({
      configuredVmId: this.parts.configuredVmId,
      osseaVmId: await this.parts.osseaVmId(),
      productUuid: await this.parts.productUuid(),
    });
    const before = this.view;
    this.view = { ...before, ...kept(before, resolved) };
    const { vmId, source, conflicts } = this.view;
    if (vmId !== before.vmId || conflicts.join() !== before.conflicts.join()) {
      this.parts.logger.info('Appliance identity', { vm_id: vmId, source });
      for (const conflict of conflicts)
        this.parts.logger.warn('Appliance identity conflict', { reason: conflict });
    }
    return this.view;
  }

  /**
   * Asks CloudStack whether this VM exists. While it is away the verdict stays as it is; a key that does not
   * see the VM confirms nothing.
   */
  async verify(): Promise<ApplianceView> {
    const { vmId } = this.view;
    if (vmId === null) return this.view;
    try {
      const vm = await this.parts.cloud.readVm(vmId);
      if (vm.kind === 'absent' && this.view.verdict !== 'refuted')
        this.parts.logger.error('CloudStack has no VM with the id of this appliance', {
          vm_id: vmId,
          source: this.view.source,
        });
      if (vm.kind === 'unknown' && this.view.verdict !== 'not-visible')
        this.parts.logger.error('The key does not see this appliance in CloudStack', {
          vm_id: vmId,
          reason: vm.why,
        });
      this.view = { ...this.view, verdict: VERDICTS[vm.kind] };
    } catch (error) {
      if (!(error instanceof CloudError)) throw error;
    }
    return this.view;
  }

  /** Somebody could not look at CloudStack, perhaps because it does not show this VM any more: it is asked at once. */
  doubt(): void {
    this.doubts.abort();
  }

  /** Waits until the VM is to be asked for again: what was confirmed is believed for minutes, unless it is doubted. */
  async untilDue(clock: Clock, stopping: AbortSignal): Promise<void> {
    const ms = this.view.verdict === 'confirmed' ? LIMITS.IDENTITY_RECHECK_MS : LIMITS.HEALTH_RETRY_MS;
    await sleepUntilAny(clock, ms, [stopping, this.doubts.signal]);
    this.doubts = new AbortController();
  }

  /** The VM id; throws APPLIANCE_UNKNOWN when it is not known, or CloudStack contradicts it. */
  require(): string {
    const { vmId, verdict, source } = this.view;
    if (vmId === null) throw applianceUnknown();
    const from = source ?? 'nowhere';
    if (verdict === 'refuted')
      throw unusable(
        `CloudStack has no VM ${vmId} (from ${from}): correct OMA_VM_ID or ossea_configs.oma_vm_id`,
        this.view,
      );
    if (verdict === 'not-visible')
      throw unusable(
        `CloudStack does not show VM ${vmId}, this appliance (from ${from}), to the key of ossea_configs: use a key of the account or project that the VM belongs to, or correct OMA_VM_ID or ossea_configs.oma_vm_id`,
        this.view,
      );
    return vmId;
  }
}

/** No source names a VM. */
export function applianceUnknown(): DaemonError {
  return new DaemonError(
    'APPLIANCE_UNKNOWN',
    'The daemon does not know which VM it runs on: set OMA_VM_ID or ossea_configs.oma_vm_id',
    { retryAfterSeconds: 30 },
  );
}

function unusable(message: string, { vmId, source, verdict }: ApplianceView): DaemonError {
  return new DaemonError('APPLIANCE_UNKNOWN', message, {
    details: { vm_id: vmId, source, verdict },
    retryAfterSeconds: 30,
  });
}

const VERDICTS = { seen: 'confirmed', absent: 'refuted', unknown: 'not-visible' } as const;

/**
 * The identity found first is kept until the process ends, because exports, rows and guards depend on it. A
 * source that names another VM later is a conflict.
 */
function kept({ vmId, source }: ApplianceView, now: ResolvedAppliance): Omit<ApplianceView, 'verdict'> {
  if (vmId === null || now.vmId === vmId) return now;
  const says = now.vmId === null ? 'nothing names a VM any more' : `${now.source} says ${now.vmId}`;
  return {
    vmId,
    source,
    conflicts: [
      ...now.conflicts,
      `${says}, but this daemon runs as ${vmId}: that takes effect at the next start`,
    ],
  };
}
