import type { OperationReply } from '~/lab/client';
import { check, type Scenario } from '../scenario';
import { APPLIANCE_VM } from '../world';

export const failover: Scenario = {
  name: 'failover',
  story:
    'test failover, cleanup, live failover and rollback across a second VM: exports come and go with the disk alone',
  machines: ['pc'],
  async run(world) {
    const [moving = '', staying = ''] = await world.createMany(2);
    await Promise.all([moving, staying].map((id) => world.attach(id)));
    await world.verifyAll([moving, staying]);
    const testVm = world.cloud.model.addVm({ name: 'test-vm', state: 'Stopped' }).id;

    // Test failover, and back by the one call.
    await world.detach(moving);
    await world.attach(moving, testVm);
    const files = await exportFiles();
    check(!world.guest.plugged().includes(moving), 'the disk is in two places');
    await world.end(
      await world.api.post<OperationReply>('/api/v1/cleanup/test-failover', {
        volume_id: moving,
        test_vm_id: testVm,
        oma_vm_id: APPLIANCE_VM,
      }),
    );
    await world.settled([moving, staying]);
    await world.verify(moving, { over: 'export' });

    // Live failover: detach from the other VM must touch no export of ours.
    const liveVm = world.cloud.model.addVm({ name: 'live-vm', state: 'Stopped' }).id;
    await world.detach(moving);
    await world.attach(moving, liveVm);
    const before = await exportFiles();
    await world.detach(moving);
    check((await exportFiles()) === before, 'detaching from another VM has changed export files');

    // Rollback.
    await world.attach(moving);
    await world.verify(moving, { over: 'export' });
    await world.verifyAll([moving, staying]);
    return files === before ? undefined : 'export files differ between the failovers';

    function exportFiles(): Promise<string> {
      return world.machine.agent.run('cd /run/volume-daemon/exports && stat -c "%n %i %Y" * | sort');
    }
  },
};
