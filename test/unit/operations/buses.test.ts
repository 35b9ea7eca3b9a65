import { describe, expect, it } from 'vitest';
import { DISK_BUSES } from '~/server/devices/device';
import { decideAttach } from '~/server/operations/decide/attach';
import { GIB, Rig, SECOND_MS } from './rig';
import { APPLIANCE, seenVolume, situation, VOLUME } from './situations';

it('a disk that came on another bus is named, with what to set in CloudStack', () => {
  const others = [{ path: '/dev/sdb', size: 5 * GIB, bus: 'sata or ide' }];
  const facts = {
    volume: seenVolume({ vmId: APPLIANCE }),
    obstacles: { openJobs: 0, conflictingOperation: null },
    device: { kind: 'missing' as const, reason: 'no device reports the serial of the volume', others },
  };
  const action = decideAttach(situation('attach', { volume_id: VOLUME, vm_id: APPLIANCE }, { facts }));
  expect(action).toMatchObject({
    state: 'failing',
    data: {
      code: 'DEVICE_NOT_DETECTED',
      message: expect.stringMatching(/\/dev\/sdb \(sata or ide\).*dataDiskController=virtio or scsi/),
      details: { other_disks: others },
    },
  });
});

const NAMES = { virtio: 'vd', 'virtio-scsi': 'sd', xen: 'xvd' } as const;

describe.each(DISK_BUSES)('a guest whose disks are on %s', (bus) => {
  const name = (letter: string) => `/dev/${NAMES[bus]}${letter}`;

  it('volumes of one size are attached at once, each mapped to its own disk and exported', async () => {
    const rig = await Rig.start({ guest: { bus } });
    const volumes = [await rig.volume(), await rig.volume(), await rig.volume()];
    const operations = await Promise.all(
      volumes.map(({ id }) => rig.request('attach', { volume_id: id, vm_id: rig.here })),
    );
    for (const id of operations) expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
    for (const { id } of volumes) {
      const mapping = await rig.ledger.readMapping(id);
      expect(mapping?.devicePath).toBe(rig.guest.devicePath(id));
      expect(mapping?.matchedBy).toBe(bus === 'xen' ? 'size' : 'serial');
      expect(rig.exported(id)).toBe(true);
    }
    expect((await rig.sync()).drifts).toEqual([]);
  });

  it('a detach is done when the disk has left, and the next disk gets its letter', async () => {
    const rig = await Rig.start({ guest: { bus, latency: { unplug: 500 } } });
    const [first, second] = [await rig.volume(), await rig.volume()];
    for (const { id } of [first, second]) {
      expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({
        status: 'completed',
      });
      expect(await rig.ledger.readMapping(id)).toMatchObject({ devicePath: name('b') });
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
      expect(await rig.ledger.readMapping(id)).toBeNull();
      expect(rig.guest.devicePath(id)).toBeNull();
    }
  });

  it('a disk that is in use is not taken away', async () => {
    const rig = await Rig.start({ guest: { bus } });
    const { id } = await rig.volume();
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    rig.guest.hold(id, [{ kind: 'mount', detail: '/mnt' }]);
    expect(await rig.run('detach', { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_IN_USE' });
  });

  it('letters move in a reboot: serials follow, size alone proves nothing any more', async () => {
    const rig = await Rig.start({ guest: { bus } });
    const volumes = [await rig.volume(), await rig.volume()];
    for (const { id } of volumes) await rig.run('attach', { volume_id: id, vm_id: rig.here });
    await rig.during(rig.guest.reboot());
    await rig.pass(60 * SECOND_MS);
    await rig.sync();
    for (const { id } of volumes) {
      const mapping = await rig.ledger.readMapping(id);
      if (bus === 'xen') expect(rig.exported(id), 'nobody knows which disk it is').toBe(false);
      else expect(mapping?.devicePath).toBe(rig.guest.devicePath(id));
      expect(rig.exported(id)).toBe(bus !== 'xen');
    }
  });
});
