import { expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { admit } from '~/server/daemon/admission';
import { APPLIANCE, OTHER_VM, VOLUME } from '~/test/support/canned';

const about = { volume_id: VOLUME, delete_vm: true, force_clean: false };
const cleanup = { ...about, test_vm_id: OTHER_VM, oma_vm_id: APPLIANCE };
const here = () => APPLIANCE;

it('a cleanup brings a volume from another VM to this appliance', () => {
  expect(() => admit('cleanup', cleanup, here)).not.toThrow();
});

it.each([
  ['oma_vm_id', { ...cleanup, oma_vm_id: OTHER_VM }],
  // It would be told to stop the machine that the daemon runs on, or end well and have done nothing.
  ['test_vm_id', { ...cleanup, test_vm_id: APPLIANCE }],
])('a cleanup whose %s names the wrong VM is refused', (field, request) => {
  expect(() => admit('cleanup', request, here)).toThrow(
    expect.objectContaining({
      code: 'VALIDATION_FAILED',
      details: { fields: [expect.objectContaining({ field })] },
    }),
  );
});

it('what concerns no VM needs no appliance; all else says why it is not known', () => {
  const unknown = () => {
    throw new DaemonError('APPLIANCE_UNKNOWN', 'nobody knows');
  };
  const create = { name: 'v', size: 1, disk_offering_id: VOLUME, zone_id: VOLUME };
  expect(() => admit('create', create, unknown)).not.toThrow();
  expect(() => admit('detach', { volume_id: VOLUME }, unknown)).toThrow('nobody knows');
});
