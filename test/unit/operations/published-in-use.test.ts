import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import type { Holder } from '~/server/devices/device';
import { expectedSerial } from '~/server/devices/serial';
import { Rig, SECOND_MS } from './rig';
import { CLIENT, MOUNT } from './situations';

const WORKER: Holder = { kind: 'open', detail: 'pid 445 ((udev-worker))' };
const EVIDENCE: readonly Holder[] = [
  MOUNT,
  { kind: 'swap', detail: '/dev/vdb2' },
  { kind: 'holder', detail: 'dm-0 (vg-data) on vdb' },
  { kind: 'holder', detail: 'btrfs pool' },
  { kind: 'claimed', detail: 'the kernel refuses an exclusive open' },
  { kind: 'configured', detail: 'fstab: UUID=1 on /data' },
  { kind: 'own', detail: 'line 1 of the list of own disks' },
  { kind: 'open', detail: 'pid 12 (mariadbd)' },
  { kind: 'open', detail: 'pid 13 (dd)', readOnly: true },
  { kind: 'unknown', detail: '/proc cannot be read' },
];

/** What can be seen from outside: a row, a link, an active record. */
async function published(rig: Rig, { id }: Volume) {
  const [row, record] = await Promise.all([rig.ledger.readMapping(id), rig.ledger.readExport(id)]);
  return { mapped: row !== null, exported: rig.exported(id), active: record?.status === 'active' };
}

const NOTHING = { mapped: false, exported: false, active: false };
const ALL = { mapped: true, exported: true, active: true };

describe.each(EVIDENCE)('a disk of this system ($kind: $detail), attached by hand', (holder) => {
  async function make() {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here });
    rig.guest.hold(volume.id, [holder]);
    return { rig, volume };
  }

  it('is neither mapped nor exported by an attach, and keeps its place', async () => {
    const { rig, volume } = await make();
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
    expect(attach.error).toContain(holder.detail);
    expect(await published(rig, volume)).toEqual(NOTHING);
    expect(rig.calls).toEqual([]);
  });

  it('is neither mapped nor exported by sync, which names who uses it', async () => {
    const { rig, volume } = await make();
    const { drifts } = await rig.sync();
    expect(await published(rig, volume)).toEqual(NOTHING);
    const told = drifts.map(({ kind, message }) => [kind, message.includes(holder.detail)]);
    expect(told).toEqual(holder.kind === 'own' ? [] : [['used-by-system', true]]);
  });

  it('is not exported on request', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    await rig.during(rig.domain.exports.withdraw(volume.id, { force: false }));
    rig.guest.hold(volume.id, [holder]);
    await expect(rig.during(rig.domain.exports.publish(volume.id, {}))).rejects.toMatchObject({
      code: 'DEVICE_IN_USE',
      message: expect.stringContaining(holder.detail),
    });
    expect(rig.exported(volume.id)).toBe(false);
  });
});

describe('a disk that arrives by an attach and is taken by the system meanwhile', () => {
  it('is not exported; it stays attached, because a disk in use is never pulled', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.onSend = ({ name }) => {
      if (name === 'attachVolume') rig.guest.hold(volume.id, [MOUNT]);
    };
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
    expect(await published(rig, volume)).toEqual(NOTHING);
    expect(rig.calls).toEqual(['attachVolume']);
    rig.guest.hold(volume.id, []);
    await rig.pass(20 * SECOND_MS);
    await rig.sync();
    expect(await published(rig, volume)).toEqual(ALL);
  });
});

describe('a disk that leaves while its users are looked at', () => {
  /**
   * As the kernel's guest answers: whoever asks for the users of a plug that has left is told that it has.
   */
  async function make(meanwhile: (rig: Rig, volume: Volume) => Promise<unknown>) {
    const rig = await Rig.start();
    const volume = await rig.volume();
    const holders = rig.guest.holders.bind(rig.guest);
    let isFirst = true;
    rig.guest.holders = async (devices) => {
      if (isFirst) await meanwhile(rig, volume);
      isFirst = false;
      const found = await holders(devices);
      const { devices: now } = await rig.guest.look();
      const left = devices.filter((one) => !now.some(({ diskseq }) => diskseq === one.diskseq));
      for (const { path } of left)
        found.set(path, [{ kind: 'unknown', detail: `${path} was unplugged or replaced during the look` }]);
      return found;
    };
    return { rig, volume };
  }

  it('and comes back is found again, and exported', async () => {
    const { rig, volume } = await make(async ({ guest }, { id, size }) => {
      await guest.unplug(id);
      await guest.plug({ volumeId: id, size: size ?? 0, serial: expectedSerial(id) });
    });
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'completed' });
    const mapping = await rig.ledger.readMapping(volume.id);
    const { devices } = await rig.guest.look();
    expect(devices.find(({ diskseq }) => diskseq === mapping?.diskseq)?.serial).toBe(
      expectedSerial(volume.id),
    );
    expect(await published(rig, volume)).toEqual(ALL);
  });

  it('and stays away is not said to be in use', async () => {
    const { rig, volume } = await make(({ guest }, { id }) => guest.unplug(id));
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(await published(rig, volume)).toEqual(NOTHING);
  });
});

describe('an export whose disk is used by the system later', () => {
  it.each([[MOUNT], [{ kind: 'open', detail: 'pid 12 (mariadbd)' } as const]])(
    '%o: gets no new clients until the disk is free again, and nobody is cut',
    async (holder) => {
      const rig = await Rig.start();
      const volume = await rig.volume({ vmId: rig.here, mapped: true });
      rig.guest.hold(volume.id, [holder, CLIENT]);
      expect((await rig.sync()).drifts).toMatchObject([{ kind: 'used-by-system', action: 'reported' }]);
      expect(await published(rig, volume)).toEqual({ mapped: true, exported: false, active: false });
      rig.guest.hold(volume.id, []);
      await rig.sync();
      expect(await published(rig, volume)).toEqual(ALL);
    },
  );

  it.each<Holder>([
    { kind: 'open', detail: 'pid 13 (md5sum)', readOnly: true },
    { kind: 'unknown', detail: '/proc/1/fd cannot be read' },
  ])('%o: is reported and stays', async (holder) => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(volume.id, [holder]);
    expect((await rig.sync()).drifts).toMatchObject([{ kind: 'used-by-system' }]);
    expect(await published(rig, volume)).toEqual(ALL);
  });

  it('a client of the export itself is no such use', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(volume.id, [CLIENT]);
    expect((await rig.sync()).drifts).toEqual([]);
    const again = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect([again.status, await published(rig, volume)]).toEqual(['completed', ALL]);
  });
});

describe('a user that is gone in a moment', () => {
  it.each(['attach', 'detach'] as const)('%s waits for it, and says for whom', async (type) => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: type === 'detach' });
    rig.guest.hold(volume.id, [WORKER]);
    const vm = type === 'attach' ? { vm_id: rig.here } : {};
    const id = await rig.request(type, { volume_id: volume.id, ...vm } as never);
    await rig.pass(3 * SECOND_MS);
    expect(await rig.operation(id)).toMatchObject({
      status: 'executing',
      waitReason: expect.stringContaining(WORKER.detail),
    });
    rig.guest.hold(volume.id, []);
    expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  });

  it('detach refuses after five seconds when it stays', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(volume.id, [WORKER]);
    const id = await rig.request('detach', { volume_id: volume.id });
    await rig.pass(4.5 * SECOND_MS);
    expect(await rig.operation(id)).toMatchObject({ status: 'executing' });
    await rig.pass(SECOND_MS);
    expect(await rig.operation(id)).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
    expect(rig.calls).toEqual([]);
  });

  it('nobody waits for a mount, nor when the request forces it', async () => {
    const rig = await Rig.start();
    const [mounted, forced] = [
      await rig.volume({ vmId: rig.here, mapped: true }),
      await rig.volume({ vmId: rig.here, mapped: true }),
    ];
    rig.guest.hold(mounted.id, [MOUNT, WORKER]);
    rig.guest.hold(forced.id, [WORKER]);
    await rig.run('detach', { volume_id: mounted.id }, SECOND_MS);
    const taken = await rig.run('detach', { volume_id: forced.id, force: true }, 2 * SECOND_MS);
    expect(taken.status).toBe('completed');
  });

  it('sync maps and exports a disk as soon as it is free', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here });
    rig.guest.hold(volume.id, [WORKER]);
    const sync = rig.domain.sync.run({ dryRun: false, reason: 'test' });
    await rig.pass(SECOND_MS);
    rig.guest.hold(volume.id, []);
    await rig.during(sync);
    expect(await published(rig, volume)).toEqual(ALL);
  });
});

describe('while it is looked who uses a disk that is to be published', () => {
  const doors: readonly [door: string, publish: (rig: Rig, id: string) => Promise<unknown>][] = [
    ['on request', (rig, id) => rig.domain.exports.publish(id, {})],
    ['by sync', (rig) => rig.domain.sync.run({ dryRun: false, reason: 'test' })],
  ];

  it.each(doors)('a detach begins: its disk is not exported again (%s)', async (_door, publish) => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.server.served.clear();
    rig.guest.hold(volume.id, [WORKER]);
    const work = publish(rig, volume.id).catch((error: unknown) => error);
    await rig.pass(SECOND_MS);
    rig.onSend = () => expect(rig.exported(volume.id)).toBe(false);
    const detach = await rig.request('detach', { volume_id: volume.id });
    await rig.pass(500);
    rig.guest.hold(volume.id, []);
    await rig.during(work);
    expect(await rig.ended(detach)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
    expect(await published(rig, volume)).toEqual(NOTHING);
  });
});

describe('an export that somebody has withdrawn on purpose', () => {
  it('is not opened again by a detach that fails', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    await rig.during(rig.domain.exports.withdraw(volume.id, { force: false }));
    rig.model.faults.add({ command: 'detachVolume', kind: 'job-fails', code: 431, text: 'no' });
    const failed = await rig.run('detach', { volume_id: volume.id });
    expect(failed).toMatchObject({ status: 'failed' });
    expect(failed.error).not.toMatch(/published again/);
    expect(rig.exported(volume.id)).toBe(false);
    expect((await rig.sync()).drifts).toEqual([]);
  });
});
