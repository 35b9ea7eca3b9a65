import { type Cloud, CloudError } from '../cloudstack/cloud';
import { type Clock, sleepUntilAny } from '../core/clock';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { resolveAppliance } from '../devices/resolve-appliance';

export interface ApplianceView {
  readonly vmId: string | null;
  readonly source: string | null;
  readonly conflicts: readonly string[];
  /** Why the sources could not all be read the last time; null when they could. */
  readonly unread: string | null;
  /**
   * Why this machine may be, or is, another VM than the one that is named: then `vmId` is null;
   * null when it is not.
   */
  readonly contradicted: string | null;
  /**
   * confirmed: CloudStack shows the VM. refuted: it says that there is none. not-visible: it does not show it
   * to this key. unverified: not asked yet, or CloudStack was away.
   */
  readonly verdict: 'confirmed' | 'refuted' | 'not-visible' | 'unverified';
}

/** What the sources name. */
type Named = Pick<ApplianceView, 'vmId' | 'source' | 'conflicts'>;

/**
 * Which VM this appliance is: OMA_VM_ID, else ossea_configs.oma_vm_id, else the SMBIOS UUID, checked against
 * CloudStack. Nothing is guessed: while it is unknown, refuted or not visible, attach and detach are refused.
 * A copy of an appliance brings the settings of its original along, whose disks it does not have: it would
 * take each of them for unused. So nothing begins while the SMBIOS UUID names another VM that CloudStack has.
 */
export class ApplianceIdentity {
  view: ApplianceView = {
    vmId: null,
    source: null,
    conflicts: [],
    unread: null,
    contradicted: null,
    verdict: 'unverified',
  };
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

  /**
   * Reads the sources again. Errors of the database are thrown. CloudStack is asked only before the first
   * answer, and only where the SMBIOS UUID is another one: it does not change while the machine runs.
   */
  async resolve(): Promise<ApplianceView> {
    const before = this.view;
    const resolved = await this.read().catch((error: unknown) => {
      this.view = { ...this.view, unread: messageOf(error) };
      throw error;
    });
    const { contradicted } = resolved;
    const now: Named = contradicted === null ? resolved : { ...resolved, vmId: null, source: null };
    this.view = { ...before, ...kept(before, now), unread: null, contradicted };
    const { vmId, source, conflicts } = this.view;
    if (contradicted !== null && contradicted !== before.contradicted)
      this.parts.logger.error('Appliance identity contradicted', { reason: contradicted });
    if (vmId !== before.vmId || conflicts.join() !== before.conflicts.join()) {
      this.parts.logger.info('Appliance identity', { vm_id: vmId, source });
      for (const conflict of conflicts)
        this.parts.logger.warn('Appliance identity conflict', { reason: conflict });
    }
    return this.view;
  }

  /**
   * Only CloudStack's word that the SMBIOS UUID names no VM, as on hypervisors other than KVM, ends the
   * doubt.
   */
  private async contradiction({ vmId, source }: Named, firmwareVmId: string): Promise<string | null> {
    const named = `${source} says ${vmId}, and the SMBIOS UUID of this machine ${firmwareVmId}`;
    try {
      const vm = await this.parts.cloud.readVm(firmwareVmId);
      switch (vm.kind) {
        case 'absent':
          return null;
        case 'seen':
          return `${named}, which CloudStack has as VM ${vm.value.name}: this machine is that one, perhaps a copy; ${CORRECT}`;
        case 'unknown':
          return `${named}, of which CloudStack does not say that it is no VM: ${vm.why}; if this machine is that VM, ${CORRECT}; else stop and start it in CloudStack, which gives it the UUID of its own VM`;
        default:
          return vm satisfies never;
      }
    } catch (error) {
      if (!(error instanceof CloudError)) throw error;
      return `${named}, and whether that is another VM CloudStack cannot be asked: ${error.message}`;
    }
  }

  private async read(): Promise<Named & Pick<ApplianceView, 'contradicted'>> {
    const { configuredVmId, osseaVmId, productUuid } = this.parts;
    const { firmwareVmId, ...named } = resolveAppliance({
      configuredVmId,
      osseaVmId: await osseaVmId(),
      productUuid: await productUuid(),
    });
    const isDoubted = this.view.vmId === null && firmwareVmId !== null;
    return { ...named, contradicted: isDoubted ? await this.contradiction(named, firmwareVmId) : null };
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

  /**
   * Somebody could not look at CloudStack, perhaps because it does not show this VM any more:
   * it is asked at once.
   */
  doubt(): void {
    this.doubts.abort();
  }

  /**
   * Waits until the VM is to be asked for again: what was confirmed is believed for minutes,
   * unless it is doubted.
   */
  async untilDue(clock: Clock, stopping: AbortSignal): Promise<void> {
    const ms = this.view.verdict === 'confirmed' ? LIMITS.IDENTITY_RECHECK_MS : LIMITS.HEALTH_RETRY_MS;
    await sleepUntilAny(clock, ms, [stopping, this.doubts.signal]);
    this.doubts = new AbortController();
  }

  /** The VM id; throws APPLIANCE_UNKNOWN when it is not known, or CloudStack contradicts it. */
  require(): string {
    const { vmId, verdict, source } = this.view;
    if (vmId === null) throw applianceUnknown(this.view);
    const why = unusableText(this.view);
    if (why === null) return vmId;
    const details = { vm_id: vmId, source, verdict };
    throw new DaemonError('APPLIANCE_UNKNOWN', why, { details, retryAfterSeconds: 30 });
  }
}

const CORRECT = 'correct OMA_VM_ID or ossea_configs.oma_vm_id';

type WhyUnknown = Pick<ApplianceView, 'unread' | 'contradicted'>;

/**
 * What is to be done while no VM is known: a source that cannot be read may name one, and
 * others may contradict it.
 */
export function unknownText({ unread, contradicted }: WhyUnknown): string {
  if (unread !== null) return `what names it cannot all be read: ${unread}`;
  return contradicted ?? 'set OMA_VM_ID or ossea_configs.oma_vm_id';
}

/** Why the VM that is named cannot be this one, and what ends that; null: nothing says so. */
export function unusableText({ vmId, verdict, source }: ApplianceView): string | null {
  const named = `VM ${vmId} (from ${source ?? 'nowhere'})`;
  switch (verdict) {
    case 'refuted':
      return `CloudStack has no ${named}: ${CORRECT}`;
    case 'not-visible':
      return `CloudStack does not show ${named}, this appliance, to the key of ossea_configs: use a key of the account or project that the VM belongs to, or ${CORRECT}`;
    case 'confirmed':
    case 'unverified':
      return null;
    default:
      return verdict satisfies never;
  }
}

/** No source names a VM, not all of them could be read (`unread`), or the machine is another one. */
export function applianceUnknown(why: WhyUnknown): DaemonError {
  return new DaemonError(
    'APPLIANCE_UNKNOWN',
    `The daemon does not know which VM it runs on: ${unknownText(why)}`,
    { retryAfterSeconds: 30 },
  );
}

const VERDICTS = { seen: 'confirmed', absent: 'refuted', unknown: 'not-visible' } as const;

/**
 * The identity found first is kept until the process ends, because exports, rows and guards depend on it. A
 * source that names another VM later is a conflict.
 */
function kept({ vmId, source }: ApplianceView, { vmId: nowId, source: nowSource, conflicts }: Named): Named {
  if (vmId === null || nowId === vmId) return { vmId: nowId, source: nowSource, conflicts };
  const says = nowId === null ? 'nothing names a VM any more' : `${nowSource} says ${nowId}`;
  return {
    vmId,
    source,
    conflicts: [
      ...conflicts,
      `${says}, but this daemon runs as ${vmId}: that takes effect at the next start`,
    ],
  };
}
