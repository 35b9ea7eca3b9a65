import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { CloudCommand } from '~/server/cloudstack/cloud';
import { NOBODY, refused, shown, type World } from './world';

/** VMs are stopped and destroyed. */
export function machines(the: () => World): void {
  it('stops and destroys a VM', async () => {
    const world = the();
    const { cloud, model } = world;
    const { id } = model.addVm({ name: 'test-vm' });
    expect(await world.done({ name: 'stopVirtualMachine', vmId: id })).toMatchObject({
      status: 'succeeded',
      volumeId: null,
    });
    expect(shown(await cloud.readVm(id))).toMatchObject({ state: 'Stopped' });
    await world.done({ name: 'destroyVirtualMachine', vmId: id, expunge: true });
    expect((await cloud.readVm(id)).kind).toBe('unknown');
    const command: CloudCommand = { name: 'stopVirtualMachine', vmId: NOBODY };
    expect(await refused(cloud.submit(command, randomUUID()))).toMatchObject({
      kind: 'parameter',
      outcome: 'final',
    });
  });
}
