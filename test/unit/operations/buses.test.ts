import { describe, expect, it } from 'vitest';
import { DISK_BUSES } from '~/server/devices/device';
import { decideAttach } from '~/server/operations/decide/attach';
import { GIB, Rig, SECOND_MS } from './rig';
import { APPLIANCE, mapping, rowOf, seenVolume, situation, VOLUME } from './situations';

it('a disk that came on another bus is named, with what to set in CloudStack', () => {
  const named = { path: '/dev/sdb', size: 5 * GIB, bus: 'sata or ide' };
  const others = [
    {
      ...named,
      name: 'sdb',
      serial: null,
      serialState: 'absent' as const,
      diskseq: 3,
      dev: '8:16',
      controller: null,
    },
  ];
  const facts = {
    volume: seenVolume({ vmId: APPLIANCE }),
    obstacles: { openJobs: 0, conflictingOperation: null },
    mapping: rowOf(mapping()),
    device: {
      kind: 'missing' as const,
      volumeSize: 5 * GIB,
      plug: { deviceId: 1, attached: null },
      reason: 'no device reports the serial of the volume',
      others,
    },
  };
  const action = decideAttach(situation('attach', { volume_id: VOLUME, vm_id: APPLIANCE }, { facts }));
  expect(action).toMatchObject({
    state: 'failing',
    data: {
      code: 'DEVICE_NOT_DETECTED',
      message: expect.stringMatching(/\/dev\/sdb \(sata or ide\).*dataDiskController=virtio or scsi/),
      details: { other_disks: [named] },
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

describe('a volume that came on a bus on which none is served', () => {
  const MOUNTED = { kind: 'mount' as const, detail: '/dev/vdb1 on /data (ext4)' };
  const onSata = (serials = true) => Rig.start({ guest: { otherBus: 'sata or ide', serials } });

  it.each(['detach', 'delete'] as const)('is not taken away while it is used: %s', async (type) => {
    const rig = await onSata();
    const { id } = await rig.volume({ vmId: rig.here });
    rig.guest.hold(id, [MOUNTED]);
    expect(await rig.run(type, { volume_id: id })).toMatchObject({
      status: 'failed',
      errorCode: 'DEVICE_IN_USE',
      error: expect.stringContaining(MOUNTED.detail),
    });
    expect(rig.calls).toEqual([]);
    rig.guest.hold(id, []);
    expect(await rig.run(type, { volume_id: id })).toMatchObject({ status: 'completed' });
  });

  it('without a serial any such disk may be it: one in use forbids, until it is forced', async () => {
    const rig = await onSata(false);
    const { id } = await rig.volume({ vmId: rig.here });
    rig.guest.hold(id, [MOUNTED]);
    expect(await rig.run('detach', { volume_id: id })).toMatchObject({
      errorCode: 'DEVICE_NOT_IDENTIFIED',
      error: expect.stringContaining(`/dev/vdb: ${MOUNTED.detail}`),
    });
    expect(rig.calls).toEqual([]);
    expect(await rig.run('detach', { volume_id: id, force: true })).toMatchObject({ status: 'completed' });
  });

  it('one with the serial of another volume is none of its business', async () => {
    const rig = await onSata();
    const [gone, used] = [await rig.volume({ vmId: rig.here }), await rig.volume({ vmId: rig.here })];
    rig.guest.surpriseUnplug(gone.id);
    rig.guest.hold(used.id, [MOUNTED]);
    expect(await rig.run('detach', { volume_id: gone.id })).toMatchObject({ status: 'completed' });
  });

  it('goes to no other VM while this guest has its disk', async () => {
    const rig = await onSata();
    const { id, size } = await rig.volume();
    await rig.guest.plug({ volumeId: id, size, serial: id.replaceAll('-', '').slice(0, 20) });
    const vm = rig.model.addVm({ name: 'other' }).id;
    expect(await rig.run('attach', { volume_id: id, vm_id: vm })).toMatchObject({
      errorCode: 'DEVICE_STILL_PRESENT',
    });
    expect(rig.calls).toEqual([]);
  });

  it('is named by sync with what to set, and no remedy detaches it', async () => {
    const rig = await onSata();
    const { id } = await rig.volume({ vmId: rig.here });
    expect((await rig.sync()).drifts).toMatchObject([
      {
        kind: 'phantom-attach',
        volumeId: id,
        message: expect.stringContaining('/dev/vdb (sata or ide)'),
        remedy: expect.stringContaining('dataDiskController=virtio or scsi'),
        remedyBy: null,
      },
    ]);
  });
});
