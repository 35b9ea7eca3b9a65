import { type Cloud, CloudError } from '../cloudstack/cloud';
import { type Clock, sleepUntilAny } from '../core/clock';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { type ResolvedAppliance, resolveAppliance } from '../devices/resolve-appliance';

export interface ApplianceView {
  readonly vmId: string | null;
  readonly source: string | null;
  readonly conflicts: readonly string[];
  /** Why the sources could not all be read the last time; null when they could. */
  readonly unread: string | null;
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
  view: ApplianceView = { vmId: null, source: null, conflicts: [], unread: null, verdict: 'unverified' };
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
    const resolved = await this.read().catch((error: unknown) => {
      this.view = { ...this.view, unread: messageOf(error) };
      throw error;
    });
    const before = this.view;
    this.view = { ...before, ...kept(before, resolved), unread: null };
    const { vmId, source, conflicts } = this.view;
    if (vmId !== before.vmId || conflicts.join() !== before.conflicts.join()) {
      this.parts.logger.info('Appliance identity', { vm_id: vmId, source });
      for (const conflict of conflicts)
        this.parts.logger.warn('Appliance identity conflict', { reason: conflict });
    }
    return this.view;
  }

  private async read(): Promise<ResolvedAppliance> {
    const { configuredVmId, osseaVmId, productUuid } = this.parts;
    return resolveAppliance({
      configuredVmId,
      osseaVmId: await osseaVmId(),
      productUuid: await productUuid(),
    });
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
    const { vmId, verdict, source, unread } = this.view;
    if (vmId === null) throw applianceUnknown(unread);
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

/** What is to be done while no VM is known: a source that cannot be read may name one, and others may contradict it. */
export function unknownText(unread: string | null): string {
  return unread === null
    ? 'set OMA_VM_ID or ossea_configs.oma_vm_id'
    : `what names it cannot all be read: ${unread}`;
}

/** No source names a VM, or (`unread`) not all of them could be read. */
export function applianceUnknown(unread: string | null): DaemonError {
  return new DaemonError(
    'APPLIANCE_UNKNOWN',
    `The daemon does not know which VM it runs on: ${unknownText(unread)}`,
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
function kept(
  { vmId, source }: ApplianceView,
  now: ResolvedAppliance,
): Pick<ApplianceView, 'vmId' | 'source' | 'conflicts'> {
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
