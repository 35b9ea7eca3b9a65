import { expect } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { startSimulator } from '~/lab/cloudstack/http';
import { messageOf } from '~/server/core/errors';
import type { OldSite } from './old-site';
import { send } from './walk';

/** What one of the programs around the old daemon does, in its own order of calls and statements. */
export interface Sequence {
  readonly letter: string;
  readonly story: string;
  readonly run: (site: OldSite) => Promise<void>;
}

const twoDisks = async (site: OldSite, name: string) => {
  const context = await site.context();
  return {
    context,
    disks: [await site.migrate(context, `${name}-0`), await site.migrate(context, `${name}-1`)],
  };
};

/** Sequence C and D: the first disk becomes the root of the new VM. */
async function failOver(
  site: OldSite,
  context: string,
  disks: readonly string[],
  name: string,
): Promise<string> {
  await site.hub("UPDATE device_mappings SET operation_mode = 'failover' WHERE vm_context_id = ?", [context]);
  for (const id of disks) expect(await site.device(id)).toBe(site.lab.guest.devicePath(id));
  const vm = site.failoverVm(name);
  for (const [index, id] of disks.entries()) {
    await site.detach(id);
    await site.attach(id, vm, index === 0 ? 'attach-root' : 'attach');
  }
  expect(await site.volumesOf(vm)).toEqual([...disks].sort());
  return vm;
}

/** Sequence E: everything that is on the VM comes back, attached all at once. */
async function rollBack(site: OldSite, context: string, vm: string): Promise<string[]> {
  const there = await site.volumesOf(vm);
  const detaches: OperationReply[] = [];
  for (const id of there) detaches.push(await site.fire('POST', `/api/v1/volumes/${id}/detach`));
  await Promise.all(detaches.map((one) => site.api.end(one)));
  await site.hub("UPDATE device_mappings SET operation_mode = 'oma' WHERE vm_context_id = ?", [context]);
  await Promise.all(there.map((id) => site.attach(id)));
  for (const id of there) await site.exported(id);
  expect(await site.volumesOf(vm)).toEqual([]);
  return there;
}

export const SEQUENCES: readonly Sequence[] = [
  {
    letter: 'A',
    story: 'two initial migrations side by side, disk after disk',
    async run(site) {
      const both = await Promise.all([twoDisks(site, 'a-one'), twoDisks(site, 'a-two')]);
      for (const { context, disks } of both) {
        if (!site.hasHub) continue;
        const rows = await site.sql(
          `SELECT m.device_path, v.device_path AS told, v.status, e.vm_disk_id FROM device_mappings m
            JOIN ossea_volumes v ON BINARY v.volume_id = BINARY m.volume_uuid JOIN nbd_exports e ON BINARY e.volume_id = BINARY m.volume_uuid
            WHERE m.vm_context_id = ? ORDER BY v.id`,
          [context],
        );
        expect(rows).toEqual(
          disks.map((id) => {
            const path = site.lab.guest.devicePath(id);
            return { device_path: path, told: path, status: 'attached', vm_disk_id: 7 };
          }),
        );
      }
    },
  },
  {
    letter: 'B',
    story: 'the increment of a volume that the old daemon has attached, and of one of ours',
    async run(site) {
      const [mapped] = site.old;
      expect(await site.device(mapped.id)).toBe(site.lab.guest.devicePath(mapped.id));
      await site.exported(mapped.id);
      const { disks } = await twoDisks(site, 'b');
      for (const id of disks) {
        expect(await site.device(id)).not.toBeNull();
        await site.exported(id);
      }
    },
  },
  {
    letter: 'C',
    story: 'a test failover, and E, its rollback; then the next increment',
    async run(site) {
      const { context, disks } = await twoDisks(site, 'c');
      const vm = await failOver(site, context, disks, 'failover-c');
      expect(await rollBack(site, context, vm)).toEqual([...disks].sort());
      for (const id of disks) expect(await site.device(id)).toBe(site.lab.guest.devicePath(id));
    },
  },
  {
    letter: 'D',
    story: 'a live failover after the last increment: the disks stay there',
    async run(site) {
      const { context, disks } = await twoDisks(site, 'd');
      for (const id of disks) await site.exported(id);
      const vm = await failOver(site, context, disks, 'failover-d');
      expect(disks.map((id) => site.inCloud(id)?.vmId)).toEqual([vm, vm]);
      const modes = await site.sql(`SELECT operation_mode FROM device_mappings WHERE ${site.column} IN (?)`, [
        disks,
      ]);
      expect(modes).toEqual([{ operation_mode: 'failover' }, { operation_mode: 'failover' }]);
    },
  },
  {
    letter: 'E',
    story: 'the rollback of a VM on which the old daemon has left a volume without a mapping',
    async run(site) {
      const [, , left] = site.old;
      // By sync the table has it as well, for whoever reads only that.
      await site.api.post('/api/v1/admin/force-sync');
      const rows = await site.sql(
        `SELECT vm_id, linux_state, operation_mode FROM device_mappings WHERE ${site.column} = ?`,
        [left.id],
      );
      expect(rows).toEqual([{ vm_id: site.testVm, linux_state: 'n/a', operation_mode: 'failover' }]);
      expect(await rollBack(site, 'context-1', site.testVm)).toEqual([left.id]);
    },
  },
  {
    letter: 'F',
    story: 'the cleanup of a failed execution: waited for, and fired without waiting',
    async run(site) {
      const { context, disks } = await twoDisks(site, 'f');
      const vm = await failOver(site, context, disks.slice(0, 1), 'failover-f');
      for (const id of disks) if ((await site.device(id)) !== null) await site.detach(id);
      await Promise.all(disks.map((id) => site.attach(id)));
      expect(await site.volumesOf(vm)).toEqual([]);
      const fired: OperationReply[] = [];
      for (const id of disks) fired.push(await site.fire('POST', `/api/v1/volumes/${id}/detach`));
      for (const id of disks)
        fired.push(await site.fire('POST', `/api/v1/volumes/${id}/attach`, { vm_id: site.appliance }));
      for (const one of fired) await site.api.end(one);
      for (const id of disks) await site.exported(id);
    },
  },
  {
    letter: 'G',
    story:
      'the one-call cleanup: back from the test VM, which goes when nothing but its own root disk is left',
    async run(site) {
      const id = await site.migrate(await site.context(), 'g');
      const vm = site.lab.cloud.model.addVm({ name: 'test-g', state: 'Stopped' }).id;
      await site.detach(id);
      await site.attach(id, vm);
      const body = {
        test_vm_id: vm,
        volume_id: id,
        oma_vm_id: site.appliance,
        delete_vm: true,
        force_clean: false,
      };
      const ended = await site.done('POST', '/api/v1/cleanup/test-failover', body);
      expect(ended.response).toMatchObject({ vm_deleted: true, device_path: site.lab.guest.devicePath(id) });
      await site.exported(id);
      // A VM that has a migrated disk as its root is not destroyed with it.
      const { context, disks } = await twoDisks(site, 'g-root');
      const [root = '', data = ''] = disks;
      const failedOver = await failOver(site, context, disks, 'failover-g');
      const more = { ...body, test_vm_id: failedOver, volume_id: data };
      const kept = await site.done('POST', '/api/v1/cleanup/test-failover', more);
      expect([kept.response?.vm_deleted, site.inCloud(root)?.vmId]).toEqual([false, failedOver]);
    },
  },
  {
    letter: 'H',
    story: 'the deletion of a job: its volumes, then everything in SQL by cascade',
    async run(site) {
      const { context, disks } = await twoDisks(site, 'h');
      for (const id of disks) await site.remove(id);
      await site.hub('DELETE FROM vm_replication_contexts WHERE context_id = ?', [context]);
      expect(disks.map((id) => site.inCloud(id))).toEqual([undefined, undefined]);
    },
  },
  {
    letter: 'I',
    story: 'the script for a failed job: detach, delete, rows by SQL; waited for or not',
    async run(site) {
      const { disks } = await twoDisks(site, 'i');
      const [waited = '', fired = ''] = disks;
      await site.detach(waited);
      await site.remove(waited);
      await site.fire('POST', `/api/v1/volumes/${fired}/detach`);
      await site.api.end(await site.fire('DELETE', `/api/v1/volumes/${fired}`));
      for (const id of disks) {
        await site.hub('DELETE FROM nbd_exports WHERE volume_id = ?', [id]);
        await site.sql(`DELETE FROM device_mappings WHERE ${site.column} = ?`, [id]);
        expect([site.inCloud(id), await site.device(id)]).toEqual([undefined, null]);
      }
    },
  },
  {
    letter: 'J',
    story: 'vm-cleanup leaves the volumes, and the same VM is migrated again under the same names',
    async run(site) {
      const { context, disks } = await twoDisks(site, 'j');
      for (const id of disks) await site.detach(id);
      await site.hub('DELETE FROM vm_replication_contexts WHERE context_id = ?', [context]);
      const again = await twoDisks(site, 'j');
      for (const id of disks) expect(site.inCloud(id)?.vmId).toBeNull();
      for (const id of again.disks) await site.exported(id);
    },
  },
  {
    letter: 'K',
    story: 'the cleanup of an old job: detach and delete, also of what is detached or gone already',
    async run(site) {
      const id = await site.migrate(await site.context(), 'k');
      for (const _twice of [1, 2]) {
        await site.detach(id).catch(messageOf);
        await site.remove(id).catch(messageOf);
      }
      expect(site.inCloud(id)).toBeUndefined();
      expect(site.lab.cloud.model.effectsOf(id, 'delete')).toBe(1);
    },
  },
  {
    letter: 'L',
    story: 'a changed configuration is followed without a restart',
    async run(site) {
      const other = await startSimulator();
      const point = (to: { url: string; apiKey: string; secretKey: string }) =>
        site.sql("UPDATE ossea_configs SET api_url = ?, api_key = ?, secret_key = ? WHERE name = 'site'", [
          to.url,
          to.apiKey,
          to.secretKey,
        ]);
      const body = { size: 1024 ** 3, disk_offering_id: other.diskOfferingId, zone_id: other.zoneId };
      try {
        await point(other);
        const arrives = async () => {
          await site.done('POST', '/api/v1/volumes', { ...body, name: 'l' }).catch(messageOf);
          return other.model.volumes.some(({ name }) => name === 'l');
        };
        await expect.poll(arrives, { timeout: 50_000, interval: 500 }).toBe(true);
      } finally {
        await point(site.lab.cloud);
        await other.stop();
      }
      const zones = () => send(`${site.url}/api/v1/volumes/${site.old[0].id}`).then(({ status }) => status);
      await expect.poll(zones, { timeout: 50_000, interval: 500 }).toBe(200);
    },
  },
  {
    letter: 'M',
    story: 'a reboot changes the letters: mappings and exports are right again',
    async run(site) {
      const { disks } = await twoDisks(site, 'm');
      const known = [site.old[0].id, ...disks];
      const before = known.map((id) => site.lab.guest.devicePath(id));
      await site.stop();
      await site.lab.guest.reboot();
      await site.start();
      expect(known.map((id) => site.lab.guest.devicePath(id))).not.toEqual(before);
      for (const id of known)
        await expect
          .poll(() => site.exported(id).then(() => 'right', messageOf), { timeout: 50_000 })
          .toBe('right');
    },
  },
];
