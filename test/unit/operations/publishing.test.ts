import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { accessMetadata } from '~/server/model/export-metadata';
import { exportName } from '~/server/model/export-name';
import { GIB, Rig } from './rig';

/** Right before the ledger takes an entry `step`, once. */
function atEntry(rig: Rig, step: string, change: () => void): void {
  const { append } = rig.ledger;
  rig.ledger.append = async (epoch, id, given) => {
    if (given.entries.some((entry) => entry.step === step)) {
      rig.ledger.append = append;
      change();
    }
    return append.call(rig.ledger, epoch, id, given);
  };
}

/** The volume that is served under the name of this one, by the disk that is there. */
const servedAs = (rig: Rig, { id }: Volume) => rig.server.served.get(exportName(id));

describe('between the mapping of a disk and its export', () => {
  it('the disk is replaced: the one that has its letter by then is not exported', async () => {
    const rig = await Rig.start();
    const [volume, stranger] = [await rig.volume(), await rig.volume()];
    let replaced = false;
    atEntry(rig, 'map', () => {
      rig.guest.surpriseUnplug(volume.id);
      void rig.guest.plug({ volumeId: stranger.id, size: stranger.size, serial: 'ffffffffffffffffffff' });
      replaced = true;
    });
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(replaced).toBe(true);
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect([rig.exported(volume.id), await rig.ledger.readMapping(volume.id)]).toEqual([false, null]);
  });

  it('it is plugged in anew: it is exported where it is by then', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    atEntry(rig, 'map', () => {
      rig.guest.surpriseUnplug(volume.id);
      void rig.guest.plug({ volumeId: 'another', size: GIB, serial: 'ffffffffffffffffffff' });
      void rig.guest.plug({
        volumeId: volume.id,
        size: volume.size,
        serial: volume.id.replaceAll('-', '').slice(0, 20),
      });
    });
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'completed', response: { device_path: '/dev/vdc' } });
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ devicePath: '/dev/vdc' });
    expect(servedAs(rig, volume)?.path).toBe('/dev/vdc');
  });

  it('somebody deletes the mapping: it is written again before the attach is done', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    atEntry(rig, 'publish', () => rig.store.mappings.clear());
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(attach.status).toBe('completed');
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ devicePath: '/dev/vdb' });
    expect(await rig.ledger.readExport(volume.id)).toMatchObject({ status: 'active' });
    expect(rig.calls).toEqual(['attachVolume']);
  });
});

describe('a detach that CloudStack refuses gives the export back', () => {
  async function refused({ readOnly = false, onSend = (_rig: Rig, _volume: Volume) => {} }) {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    if (readOnly) await rig.during(rig.domain.exports.publish(volume.id, accessMetadata(true), { readOnly }));
    rig.model.faults.add({ command: 'detachVolume', kind: 'job-fails', code: 431, text: 'no' });
    rig.onSend = () => onSend(rig, volume);
    const detach = await rig.run('detach', { volume_id: volume.id });
    expect(detach.status).toBe('failed');
    return { rig, volume, detach };
  }

  it.each([false, true])('as it was: read-only %j', async (readOnly) => {
    const { rig, volume } = await refused({ readOnly });
    expect(servedAs(rig, volume)?.readOnly).toBe(readOnly);
    expect(await rig.ledger.readExport(volume.id)).toMatchObject({ status: 'active' });
  });

  it('not where another disk has its letter by then', async () => {
    const { rig, volume, detach } = await refused({
      onSend: (rig, { id, size }) => {
        rig.guest.surpriseUnplug(id);
        void rig.guest.plug({ volumeId: 'another', size, serial: 'ffffffffffffffffffff' });
      },
    });
    expect(rig.exported(volume.id)).toBe(false);
    expect(detach.error).toContain('could not be published again: /dev/vdb has serial ffff');
  });
});
