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
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Firmware that knows no UUID says all zeros or all ones. */
const NOBODY = /^(0+|f+)$/;

/**
 * "Who am I", in the order of DESIGN section 6: OMA_VM_ID, then ossea_configs.oma_vm_id, then the SMBIOS UUID. Nothing is
 * guessed: a value that is no UUID is said to be so and not used, and sources that disagree are reported. Pure.
 */
export function resolveAppliance(sources: IdentitySources): ResolvedAppliance {
  const said = [
    { source: 'OMA_VM_ID' as const, label: 'OMA_VM_ID', text: tidy(sources.configuredVmId) },
    { source: 'ossea_configs' as const, label: 'ossea_configs.oma_vm_id', text: tidy(sources.osseaVmId) },
    { source: 'smbios' as const, label: 'the SMBIOS UUID of this machine', text: tidy(sources.productUuid) },
  ].filter(({ text }) => text !== '' && !NOBODY.test(text.replaceAll('-', '')));
  const unusable = said.filter(({ text }) => !UUID.test(text));
  const [chosen, ...others] = said.filter(({ text }) => UUID.test(text));
  const conflicts = unusable.map(({ label, text }) => `${label} is not a VM id: ${text.slice(0, 64)}`);
  if (!chosen) return { vmId: null, source: null, conflicts };
  for (const { label, text } of others) {
    if (text !== chosen.text)
      conflicts.push(`${label} says ${text}, but ${chosen.label} says ${chosen.text}`);
  }
  return { vmId: chosen.text, source: chosen.source, conflicts };
}

function tidy(value: string | null): string {
  return value?.trim().toLowerCase() ?? '';
}
