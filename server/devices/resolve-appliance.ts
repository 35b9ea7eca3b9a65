import { isUuid } from '../core/is-uuid';

export interface IdentitySources {
  /** OMA_VM_ID */
  readonly configuredVmId: string | null;
  /** ossea_configs.oma_vm_id */
  readonly osseaVmId: string | null;
  /** SMBIOS product_uuid, which CloudStack/KVM sets to the VM's id. */
  readonly productUuid: string | null;
}

export interface ResolvedAppliance {
  readonly vmId: string | null;
  readonly source: 'OMA_VM_ID' | 'ossea_configs' | 'smbios' | null;
  /** What the sources disagree about, in words; a source that is no UUID counts as a disagreement. */
  readonly conflicts: readonly string[];
  /**
   * The SMBIOS UUID where it is another than `vmId`: if CloudStack has a VM with it, this machine is that VM.
   */
  readonly firmwareVmId: string | null;
}

/** Firmware that knows no UUID says all zeros or all ones. */
const UNKNOWN_UUID = /^(0+|f+)$/;

/**
 * Which VM this appliance is: OMA_VM_ID, else ossea_configs.oma_vm_id, else the SMBIOS UUID. Nothing is
 * guessed: a value that is no UUID is reported and not used, and sources that disagree are reported. Pure.
 */
export function resolveAppliance(sources: IdentitySources): ResolvedAppliance {
  const said = [
    { source: 'OMA_VM_ID' as const, label: 'OMA_VM_ID', text: tidy(sources.configuredVmId) },
    { source: 'ossea_configs' as const, label: 'ossea_configs.oma_vm_id', text: tidy(sources.osseaVmId) },
    { source: 'smbios' as const, label: 'the SMBIOS UUID of this machine', text: tidy(sources.productUuid) },
  ].filter(({ text }) => text !== '' && !UNKNOWN_UUID.test(text.replaceAll('-', '')));
  const unusable = said.filter(({ text }) => !isUuid(text));
  const [chosen, ...others] = said.filter(({ text }) => isUuid(text));
  const conflicts = unusable.map(({ label, text }) => `${label} is not a VM id: ${text.slice(0, 64)}`);
  if (!chosen) return { vmId: null, source: null, conflicts, firmwareVmId: null };
  for (const { label, text } of others) {
    if (text !== chosen.text)
      conflicts.push(`${label} says ${text}, but ${chosen.label} says ${chosen.text}`);
  }
  const firmware = others.find(({ source, text }) => source === 'smbios' && text !== chosen.text);
  return { vmId: chosen.text, source: chosen.source, conflicts, firmwareVmId: firmware?.text ?? null };
}

function tidy(value: string | null): string {
  return value?.trim().toLowerCase() ?? '';
}
