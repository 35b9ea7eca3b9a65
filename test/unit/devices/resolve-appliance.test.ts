import { describe, expect, it } from 'vitest';
import { resolveAppliance } from '~/server/devices/resolve-appliance';

const A = 'aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa';
const B = 'bbbbbbbb-2222-4222-8222-bbbbbbbbbbbb';

const resolve = (configuredVmId: string | null, osseaVmId: string | null, productUuid: string | null) =>
  resolveAppliance({ configuredVmId, osseaVmId, productUuid });

describe('which VM the daemon runs on', () => {
  it('OMA_VM_ID is stronger than the table and the firmware, and the differing sources are reported', () => {
    expect(resolve(A, B, B)).toEqual({
      vmId: A,
      source: 'OMA_VM_ID',
      conflicts: [
        `ossea_configs.oma_vm_id says ${B}, but OMA_VM_ID says ${A}`,
        `the SMBIOS UUID of this machine says ${B}, but OMA_VM_ID says ${A}`,
      ],
      firmwareVmId: B,
    });
  });

  it('the table is stronger than the firmware', () => {
    expect(resolve(null, A, B)).toMatchObject({
      vmId: A,
      source: 'ossea_configs',
      conflicts: [expect.stringContaining(B)],
    });
  });

  it('the firmware is used when no other source is set', () => {
    expect(resolve(null, null, A)).toEqual({ vmId: A, source: 'smbios', conflicts: [], firmwareVmId: null });
    expect(resolve('', '  ', A)).toEqual({ vmId: A, source: 'smbios', conflicts: [], firmwareVmId: null });
  });

  it('sources that agree, in whatever case, are no conflict', () => {
    expect(resolve(A.toUpperCase(), ` ${A}\n`, A)).toEqual({
      vmId: A,
      source: 'OMA_VM_ID',
      conflicts: [],
      firmwareVmId: null,
    });
  });

  it('nobody knows', () => {
    expect(resolve(null, null, null)).toEqual({
      vmId: null,
      source: null,
      conflicts: [],
      firmwareVmId: null,
    });
  });

  it('a value that is no VM id is reported and not used', () => {
    expect(resolve(null, 'i-2-30-VM', A)).toEqual({
      vmId: A,
      source: 'smbios',
      conflicts: ['ossea_configs.oma_vm_id is not a VM id: i-2-30-vm'],
      firmwareVmId: null,
    });
  });

  it('firmware that says all zeros or all ones says nothing', () => {
    expect(resolve(null, null, '00000000-0000-0000-0000-000000000000').vmId).toBeNull();
    expect(resolve(null, null, 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF').vmId).toBeNull();
  });
});
