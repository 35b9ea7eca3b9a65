import type { OperationReply } from '~/lab/client';
import { check, type Scenario } from '../scenario';

export const mainJob: Scenario = {
  name: 'main-job',
  story: 'create, attach, write over NBD, the right file holds it, the kernel has counted it, detach, delete',
  machines: ['pc', 'q35'],
  async run(world) {
    const id = await world.create('main');
    const attached = await world.attach(id);
    await world.verifyAll([id]);
    await world.verifyTraffic(id);
    await world.detach(id);
    check(!world.guest.plugged().includes(id), 'the disk is still plugged');
    await world.verify(id);
    await world.end(await world.api.delete<OperationReply>(`/api/v1/volumes/${id}`));
    check((await world.api.get<unknown[]>('/api/v1/exports')).length === 0, 'an export is left');
    return String(attached.response?.device_path);
  },
};
