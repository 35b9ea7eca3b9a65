import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Ledger } from '~/server/model/ledger';
import type { MappingEffect } from '~/server/model/ledger-writes';
import { A, APPLIANCE, attach, B, create, detach, mapping, note, OTHER_VM, refusal } from './fixtures';
import type { LedgerSuite } from './ledger-suite';

const NEVER = 'cccccccc-0000-4000-8000-000000000003';

export function describeMappingsAndExports(suite: LedgerSuite): void {
  describe('mappings and exports', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

    const repair = (...effects: MappingEffect[]) => ledger.auditedChange(epoch, effects, note('test'));

    const exportOf = (
      volumeId: string,
      status: 'pending' | 'active' | 'failed' = 'active',
      metadata: Record<string, string> = {},
    ) =>
      ({
        kind: 'put-export',
        record: {
          volumeId,
          exportName: `migration-vol-${volumeId}`,
          devicePath: '/dev/vdb',
          port: 10809,
          status,
          metadata,
        },
      }) as const;

    it('reads the rows of many volumes at once: mapping, export, and the operation accepted last', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A));
      await repair({ kind: 'put-mapping', mapping: mapping(B, { devicePath: '/dev/vdc' }) });
      await suite.end((await suite.executing(attach(A, APPLIANCE))).id);
      const last = await suite.ask(detach(A));
      const never = await suite.ask(detach(NEVER));
      const rows = await ledger.readVolumeRows([A, B, NEVER, OTHER_VM]);
      expect([...rows.keys()].sort()).toEqual([A, B, NEVER].sort());
      expect(rows.get(A)).toEqual({
        mapping: await ledger.readMapping(A),
        export: await ledger.readExport(A),
        lastOperation: { id: last.id, type: 'detach', status: 'pending', updatedAt: last.updatedAt },
      });
      expect(rows.get(B)).toMatchObject({
        mapping: { devicePath: '/dev/vdc' },
        export: null,
        lastOperation: null,
      });
      expect(rows.get(NEVER)).toMatchObject({ mapping: null, lastOperation: { id: never.id } });
      expect(await ledger.readVolumeRows([])).toEqual(new Map());
    });

    it('knows volumes as ours by what has completed, by nothing that was only asked for', async () => {
      const made = await suite.executing(create('one'));
      await suite.append(made.id, { volumeId: A });
      await suite.end(made.id);
      const [attached, failed, asked] = ['1', '2', '3'].map((n) => `dddddddd-0000-4000-8000-00000000000${n}`);
      await suite.end((await suite.executing(attach(String(attached), OTHER_VM))).id);
      await suite.end((await suite.executing(attach(String(failed), OTHER_VM))).id, 'failed');
      await suite.ask(attach(String(asked), OTHER_VM));
      // A detach of somebody else's volume that was not attached succeeds as well.
      await suite.end((await suite.executing(detach(NEVER))).id);
      const all = [A, B, NEVER, String(attached), String(failed), String(asked)];
      expect(await ledger.ownVolumes(all)).toEqual(new Set([A, attached]));
      expect(await ledger.ownVolumes([B])).toEqual(new Set());
      expect(await ledger.ownVolumes([])).toEqual(new Set());
    });

    it('knows volumes as ours by their mapping, and no longer once it has gone', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A));
      await repair({ kind: 'put-mapping', mapping: mapping(B, { vmId: OTHER_VM }) });
      expect(await ledger.ownVolumes([A, B, NEVER])).toEqual(new Set([A, B]));
      await repair({ kind: 'delete-mapping', volumeId: A, vmId: APPLIANCE });
      expect(await ledger.ownVolumes([A, B])).toEqual(new Set([B]));
    });

    it.each([16, 20, 32])(
      'finds a volume that it knows by the %i characters of its serial',
      async (length) => {
        const known = '0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9';
        const serial = known.replaceAll('-', '').slice(0, length);
        expect(await ledger.volumesOfSerials([serial])).toEqual([]);
        await suite.end((await suite.executing(detach(known))).id, 'failed');
        await suite.ask(detach(known));
        await suite.ask(detach(A));
        const never = NEVER.replaceAll('-', '').slice(0, length);
        expect(await ledger.volumesOfSerials([never, serial])).toEqual([known]);
        expect(await ledger.volumesOfSerials([])).toEqual([]);
      },
    );

    it('replaces the mapping of a volume and keeps its id and birth', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) });
      const first = await ledger.readMapping(A);
      await repair({
        kind: 'put-mapping',
        mapping: mapping(A, {
          devicePath: '/dev/vdd',
          size: 7,
          serial: null,
          matchedBy: 'size',
          controller: null,
          diskseq: null,
          bootId: null,
        }),
      });
      const second = await ledger.readMapping(A);
      expect(second).toMatchObject({
        id: first?.id,
        createdAt: first?.createdAt,
        devicePath: '/dev/vdd',
        size: 7,
        serial: null,
        matchedBy: 'size',
      });
      expect(await ledger.listMappings()).toHaveLength(1);
    });

    it('refuses a second volume on the same path of the same VM', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) });
      await refusal(repair({ kind: 'put-mapping', mapping: mapping(B) }), 'DEVICE_IDENTITY_MISMATCH');
      await repair({ kind: 'put-mapping', mapping: mapping(B, { vmId: OTHER_VM }) });
      expect((await ledger.listMappings()).map(({ volumeId }) => volumeId).sort()).toEqual([A, B]);
    });

    it('lets a named volume lose the path to the one that is provably there', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A));
      await repair({ kind: 'put-mapping', mapping: mapping(B), displaces: [A] });
      expect(await ledger.readMapping(A)).toMatchObject({
        devicePath: `missing-${A}`,
        linuxState: 'missing',
      });
      expect(await ledger.readExport(A)).toMatchObject({ status: 'failed' });
      expect(await ledger.readMappingByDevice(APPLIANCE, '/dev/vdb')).toMatchObject({ volumeId: B });
    });

    it('finds the mapping of a device by its very path: capitals make another one', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) });
      expect(await ledger.readMappingByDevice(APPLIANCE, '/dev/vdb')).toMatchObject({ volumeId: A });
      expect(await ledger.readMappingByDevice(APPLIANCE, '/dev/VDB')).toBeNull();
    });

    it('displaces nobody who is somewhere else', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A, { devicePath: '/dev/vdc' }) });
      await repair({ kind: 'put-mapping', mapping: mapping(B), displaces: [A] });
      expect((await ledger.readMapping(A))?.devicePath).toBe('/dev/vdc');
    });

    it('holds several volumes of a remote VM, with paths longer than a device path', async () => {
      for (const volumeId of [A, B])
        await repair({
          kind: 'put-mapping',
          mapping: mapping(volumeId, {
            vmId: OTHER_VM,
            devicePath: `remote-vm-${OTHER_VM}-${volumeId}`,
            linuxState: 'n/a',
          }),
        });
      expect((await ledger.listMappings(OTHER_VM)).map(({ devicePath }) => devicePath)).toEqual([
        `remote-vm-${OTHER_VM}-${A}`,
        `remote-vm-${OTHER_VM}-${B}`,
      ]);
      expect(await ledger.listMappings(APPLIANCE)).toEqual([]);
    });

    it('gives mappings in pages, also after one that has gone', async () => {
      const places = [
        mapping(B, { devicePath: '/dev/vdb' }),
        mapping(A, { vmId: OTHER_VM, devicePath: '/dev/vdb' }),
        mapping(randomUUID(), { devicePath: '/dev/vdc' }),
      ];
      for (const one of places) await repair({ kind: 'put-mapping', mapping: one });
      const all = await ledger.listMappings();
      expect(all.map(({ devicePath }) => devicePath)).toEqual(['/dev/vdb', '/dev/vdb', '/dev/vdc']);
      const [first, second, third] = all;
      expect(await ledger.pageOfMappings(2, null)).toEqual([first, second]);
      expect(await ledger.pageOfMappings(2, first ?? null)).toEqual([second, third]);
      expect(await ledger.pageOfMappings(2, { devicePath: '/dev/vdb', volumeId: 'zzz' })).toEqual([third]);
      expect(await ledger.pageOfMappings(2, third ?? null)).toEqual([]);
    });

    it('deletes a mapping with its export, but only for the VM it belongs to', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A));
      await repair({ kind: 'delete-mapping', volumeId: A, vmId: OTHER_VM });
      expect(await ledger.readExport(A)).not.toBeNull();
      await repair({ kind: 'delete-mapping', volumeId: A, vmId: APPLIANCE });
      expect(await ledger.readMapping(A)).toBeNull();
      expect(await ledger.readExport(A)).toBeNull();
    });

    it('has no export without a mapping', async () => {
      await refusal(repair(exportOf(A)), 'MAPPING_NOT_FOUND');
    });

    it('keeps one export per volume, and changes it in place', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A, 'pending', { vm_name: 'web' }));
      const first = await ledger.readExport(A);
      await repair(exportOf(A, 'active', { vm_name: 'web', job: '7' }));
      await repair({ kind: 'set-export-status', volumeId: A, status: 'failed' });
      expect(await ledger.readExport(A)).toMatchObject({
        id: first?.id,
        exportName: `migration-vol-${A}`,
        port: 10809,
        status: 'failed',
        metadata: { vm_name: 'web', job: '7' },
        createdAt: first?.createdAt,
      });
    });

    it('changes the export of the volume that is named, and no other one; it goes with its mapping', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A));
      await repair({ kind: 'put-mapping', mapping: mapping(B, { devicePath: '/dev/vdc' }) }, exportOf(B));
      await repair({ kind: 'set-export-status', volumeId: A, status: 'pending' });
      const statuses = async () =>
        (await ledger.listExports()).map(({ volumeId, status }) => [volumeId, status]);
      expect(await statuses()).toEqual([
        [A, 'pending'],
        [B, 'active'],
      ]);
      await repair({ kind: 'put-mapping', mapping: mapping(NEVER), displaces: [A] });
      expect(await statuses(), 'one that was not served has not failed').toEqual([
        [A, 'pending'],
        [B, 'active'],
      ]);
      await repair({ kind: 'delete-mapping', volumeId: A, vmId: APPLIANCE });
      expect(await statuses()).toEqual([[B, 'active']]);
    });

    it('filters exports', async () => {
      await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A, 'active', { vm_name: 'web' }));
      await repair(
        { kind: 'put-mapping', mapping: mapping(B, { devicePath: '/dev/vdc' }) },
        exportOf(B, 'failed', { vm_name: 'mail' }),
      );
      const ids = async (filter: Parameters<Ledger['listExports']>[0]) =>
        (await ledger.listExports(filter)).map(({ volumeId }) => volumeId);
      expect(await ids({})).toEqual([A, B]);
      expect(await ids({ volumeId: B })).toEqual([B]);
      expect(await ids({ status: 'active' })).toEqual([A]);
      expect(await ids({ vmName: 'mail' })).toEqual([B]);
    });

    it('journals repairs in the feed of the appliance', async () => {
      const entry = await ledger.auditedChange(epoch, [], note('audit', { volume_id: A }));
      expect(entry).toMatchObject({
        operationId: '',
        step: 'audit',
        state: 'note',
        data: { volume_id: A },
      });
      expect(await ledger.feed(APPLIANCE, 0, 10), 'the entry that was returned').toEqual([entry]);
    });
  });
}
