import { rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { must, type Report, type Scene, SECOND_MS } from './scene';

const cleanup = (scene: Scene, volume_id: string, test_vm_id: string) =>
  scene.begin('POST', '/api/v1/cleanup/test-failover', {
    ...{ volume_id, test_vm_id, oma_vm_id: scene.here },
    ...{ delete_vm: true, force_clean: true },
  });

const DATABASE = 'migratekit_oma';
const OTHER_APPLIANCE = '99999999-9999-4999-8999-999999999999';

/** A guard counts at the moment of the act, at every door. */
export const DOORS: readonly Report[] = [
  {
    id: 'E1',
    title: 'a detach is lost on its way; the volume is on another, running VM by then, and is detached there',
    run: async (scene) => {
      const [from, to] = [scene.vm('Running'), scene.vm('Running')];
      const volume = scene.volume('moved');
      scene.plugInto(volume, from);
      scene.model.faults.add({ command: 'detachVolume', kind: 'fail-before-effect' });
      const operation = await scene.begin('POST', `/api/v1/volumes/${volume.id}/detach`);
      await scene.untilStruck('fail-before-effect');
      scene.plugInto(volume, to);
      await scene.end(operation, 60 * SECOND_MS);
      must(volume.vmId === to, 'it was detached from the VM that has it now');
    },
  },
  {
    id: 'E1b',
    title: 'a delete is lost on its way; the volume is on a running VM by then, and is deleted',
    run: async (scene) => {
      const to = scene.vm('Running');
      const volume = scene.volume('moved');
      scene.model.faults.add({ command: 'deleteVolume', kind: 'fail-before-effect' });
      const operation = await scene.begin('DELETE', `/api/v1/volumes/${volume.id}`);
      await scene.untilStruck('fail-before-effect');
      scene.plugInto(volume, to);
      const ended = await scene.end(operation, 60 * SECOND_MS);
      must(volume.vmId === to && scene.alive(volume), 'it was taken from the VM that has it now');
      must(ended.status !== 'completed', 'the delete says that it has completed');
    },
  },
  {
    id: 'E2',
    title: 'a destroy is lost on its way; the VM gets a disk and runs by then, and is expunged',
    run: async (scene) => {
      const vmId = scene.vm('Stopped');
      const [volume, more] = [scene.volume('disk'), scene.volume('more')];
      scene.plugInto(volume, vmId);
      scene.model.faults.add({ command: 'destroyVirtualMachine', kind: 'fail-before-effect' });
      const operation = await cleanup(scene, volume.id, vmId);
      await scene.untilStruck('fail-before-effect');
      const vm = scene.model.inventory.vm('', 'id', vmId);
      vm.state = 'Running';
      scene.plugInto(more, vmId);
      await scene.end(operation, 60 * SECOND_MS);
      must(vm.state === 'Running', `the VM is ${vm.state}`);
    },
  },
  {
    id: 'E3',
    title: 'a cleanup that names the appliance as its test VM stops the appliance',
    run: async (scene) => {
      const volume = await scene.attached('own');
      const answer = await scene.call('POST', '/api/v1/cleanup/test-failover', {
        ...{ volume_id: volume.id, test_vm_id: scene.here, oma_vm_id: scene.here },
        ...{ delete_vm: true, force_clean: true },
      });
      if (answer.status === 201) await scene.end(String(answer.body.id), 60 * SECOND_MS);
      must(
        scene.calls('stopVirtualMachine') + scene.calls('destroyVirtualMachine') === 0,
        'a stop or destroy was sent',
      );
    },
  },
  {
    id: 'E4',
    title: 'a test VM that is not visible counts as stopped: its disk is pulled while it runs',
    run: async (scene) => {
      const vmId = scene.vm('Running');
      const volume = scene.volume('disk');
      scene.plugInto(volume, vmId);
      scene.hide(vmId);
      const operation = await cleanup(scene, volume.id, vmId);
      await scene.end(operation, 90 * SECOND_MS);
      must(volume.vmId === vmId, 'the disk was pulled');
    },
  },
  {
    id: 'E5',
    title: 'a mounted disk that cannot be identified is detached',
    run: async (scene) => {
      const { guest } = scene.walk.lab;
      const volume = await scene.attached('mounted');
      const path = guest.devicePath(volume.id) ?? '';
      const [proc, sys] = [guest.procDir, join(guest.sysBlockDir, basename(path))];
      const mount = `2 1 253:16 / /srv rw,relatime - ext4 /dev/${basename(path)} rw\n`;
      await writeFile(join(proc, 'self/mountinfo'), `1 0 253:0 / / rw,relatime - ext4 /dev/vda rw\n${mount}`);
      await writeFile(
        join(proc, 'mounts'),
        `/dev/vda / ext4 rw 0 0\n/dev/${basename(path)} /srv ext4 rw 0 0\n`,
      );
      await rm(join(sys, 'serial'), { force: true });
      await writeFile(join(sys, 'serial'), '');
      await scene.restartDaemon(() =>
        rm(join(scene.walk.lab.dir, 'state'), { recursive: true, force: true }),
      );
      await scene.detach(volume.id, 60 * SECOND_MS);
      must(volume.vmId === scene.here, 'it was detached');
    },
  },
  {
    id: 'E6',
    title:
      'the id of the appliance is changed in the configuration while the daemon runs: exports are withdrawn',
    run: async (scene) => {
      const volume = await scene.attached('kept');
      const name = (vmId: string) =>
        scene.walk.lab.database.query(
          'UPDATE ossea_configs SET oma_vm_id = ?, updated_at = NOW()',
          [vmId],
          DATABASE,
        );
      await scene.restartDaemon(() => name(scene.here), { OMA_VM_ID: '' });
      await name(scene.vm('Running'));
      scene.model.faults.add({ command: '*', kind: 'status', code: 401, times: 2 });
      await scene.sync();
      await scene.sync();
      must(await scene.exported(volume.id), 'its export is gone');
      must(await scene.mapped(volume.id), 'its mapping is gone');
    },
  },
  {
    id: 'E7',
    title: 'attach-root of a volume that is a data disk of that VM: "completed, device 0", and it is 1',
    run: async (scene) => {
      const vmId = scene.vm('Stopped');
      const volume = scene.volume('data');
      scene.plugInto(volume, vmId);
      const ended = await scene.run('POST', `/api/v1/volumes/${volume.id}/attach-root`, { vm_id: vmId });
      must(ended.status === 'failed', `it ended as ${ended.status}`);
    },
  },
  {
    id: 'E8',
    title: 'two appliances on one database: the sync of one deletes the rows of the other',
    run: async (scene) => {
      const volume = await scene.attached('ours');
      const theirs = scene.volume('theirs', {}, 'other');
      const { database } = scene.walk.lab;
      await database.query(
        `INSERT INTO device_mappings (id, volume_id, vm_id, device_path, linux_state, cloudstack_state, operation_mode, size)
         SELECT UUID(), ?, ?, ?, 'n/a', 'attached', operation_mode, size FROM device_mappings WHERE volume_id = ?`,
        [theirs.id, OTHER_APPLIANCE, `remote-vm-x-${theirs.id}`, volume.id],
        DATABASE,
      );
      scene.hide(theirs.id);
      for (let round = 0; round < 3; round += 1) await scene.sync();
      const rows = await database.query(
        'SELECT id FROM device_mappings WHERE volume_id = ?',
        [theirs.id],
        DATABASE,
      );
      must(Array.isArray(rows) && rows.length === 1, 'the row is gone');
    },
  },
  {
    id: 'E9',
    title: 'a VM that is just stopping is refused as "not stopped"',
    run: async (scene) => {
      const vmId = scene.vm('Stopping');
      const volume = scene.volume('root');
      const vm = scene.model.inventory.vm('', 'id', vmId);
      for (const root of scene.model.volumes.filter((one) => one.vmId === vmId))
        Object.assign(root, { vmId: null, deviceId: null });
      const operation = await scene.begin('POST', `/api/v1/volumes/${volume.id}/attach-root`, {
        vm_id: vmId,
      });
      await scene.pass(2 * SECOND_MS);
      vm.state = 'Stopped';
      const ended = await scene.end(operation, 60 * SECOND_MS);
      must(ended.status === 'completed', `the attach ${ended.status}: ${ended.error}`);
    },
  },
];
