import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { ROOT_DISK } from '~/lab/guest/guest';
import { LIMITS } from '~/server/core/limits';
import type { Holder } from '~/server/devices/device';
import { expectedSerial } from '~/server/devices/serial';
import { exportName } from '~/server/model/export-name';
import type { OperationType } from '~/server/model/operation';
import { GIB, Rig } from './rig';
import { CLIENT, LEAVING, MOUNT } from './situations';

describe('who uses the disk counts at the moment of the act', () => {
  it.each<[OperationType & ('detach' | 'delete'), string]>([
    ['detach', 'detachVolume'],
    ['delete', 'detachVolume'],
  ])(
    '%s: mounted after its call was lost: not sent again, and the export comes back when it is free',
    async (type, command) => {
      const rig = await Rig.start();
      const { id } = await rig.volume({ vmId: rig.here, mapped: true });
      rig.loseThen('detachVolume', () => rig.guest.hold(id, [MOUNT]));
      const operation = await rig.run(type, { volume_id: id });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
      expect(operation.error).toContain(MOUNT.detail);
      expect(rig.calls).toEqual([command]);
      expect(rig.exported(id)).toBe(false);
      rig.guest.hold(id, []);
      await rig.sync();
      expect(rig.exported(id)).toBe(true);
    },
  );

  it('a disk that leaves while its users are looked at is used by nobody', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.holders = async (devices) => {
      if (rig.guest.plugged().includes(id)) rig.guest.surpriseUnplug(id);
      const left: Holder = { kind: 'unknown', detail: 'it was unplugged or replaced during the look' };
      return new Map(devices.map(({ path }) => [path, [left]]));
    };
    expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('an attach whose disk somebody takes away while its users are looked at is not sent a second time', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.guest.holders = async () => {
      if (volume.vmId !== null) {
        rig.unplug(volume);
        rig.guest.surpriseUnplug(volume.id);
      }
      await rig.clock.sleep(LIMITS.HOLDER_AGAIN_MS);
      return new Map();
    };
    const attach = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(attach.error).toContain('somebody has detached it since');
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], null]);
  });

  it.each(['this VM', 'another VM'])(
    'an attach to %s that somebody undoes before the first look after its job is not sent a second time',
    async (where) => {
      const rig = await Rig.start();
      const volume = await rig.volume();
      rig.domain.events.onEntry(({ step, state }) => {
        if (step !== 'attach-volume' || state !== 'finished') return;
        rig.unplug(volume);
        if (where === 'this VM') rig.guest.surpriseUnplug(volume.id);
      });
      const vmId = where === 'this VM' ? rig.here : rig.vm('Running');
      const attach = await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
      expect(attach).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
      expect(attach.error).toContain('somebody may have undone it since');
      expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], null]);
    },
  );

  it.each([
    ['a mount', MOUNT, false],
    ['a mount, and the request forces it', MOUNT, true],
  ])('%s is asked before the first send', async (_story, holder, force) => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(id, [holder]);
    const operation = await rig.run('detach', { volume_id: id, force });
    expect(operation.status).toBe(force ? 'completed' : 'failed');
    expect(rig.calls).toEqual(force ? ['detachVolume'] : []);
  });

  it.each([
    ['refuse', []],
    ['disconnect', ['detachVolume']],
  ] as const)('a connected client with DETACH_CONNECTED=%s', async (detachConnected, calls) => {
    const rig = await Rig.start({ policy: { detachConnected } });
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(id, [CLIENT]);
    await rig.run('detach', { volume_id: id });
    expect(rig.calls).toEqual([...calls]);
  });

  describe.each(['when-idle', 'refuse'] as const)(
    'a client that has left, DETACH_CONNECTED=%s',
    (detachConnected) => {
      async function left(...holders: Holder[]) {
        const rig = await Rig.start({ policy: { detachConnected } });
        const { id } = await rig.volume({ vmId: rig.here, mapped: true });
        rig.guest.hold(id, holders);
        return { rig, id, begun: rig.clock.monotonic() };
      }

      it('is waited for while its process ends, and then the disk is detached', async () => {
        const { rig, id } = await left(LEAVING);
        const operation = await rig.request('detach', { volume_id: id });
        await rig.pass(LIMITS.HOLDER_PASSES_MS - 1_000);
        expect([rig.calls, rig.exported(id)]).toEqual([[], true]);
        rig.guest.hold(id, []);
        expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
        expect(rig.calls).toEqual(['detachVolume']);
      });

      it('whose process does not end holds the disk: refused after a while, with who it is', async () => {
        const { rig, id, begun } = await left(LEAVING);
        const operation = await rig.run('detach', { volume_id: id });
        expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
        expect(operation.error).toContain(LEAVING.detail);
        expect(rig.clock.monotonic() - begun).toBeGreaterThanOrEqual(LIMITS.HOLDER_PASSES_MS);
        expect([rig.calls, rig.exported(id)]).toEqual([[], true]);
      });

      it.each([
        ['a client who stays', [CLIENT]],
        ['a mount beside one that has left', [LEAVING, MOUNT]],
      ])('%s is not waited for', async (_who, holders) => {
        const { rig, id, begun } = await left(...holders);
        expect(await rig.run('detach', { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_IN_USE' });
        expect(rig.clock.monotonic() - begun).toBeLessThan(LIMITS.HOLDER_PASSES_MS);
      });

      it('is not waited for by a request that forces it', async () => {
        const { rig, id, begun } = await left(LEAVING);
        expect(await rig.run('detach', { volume_id: id, force: true })).toMatchObject({
          status: 'completed',
        });
        expect(rig.clock.monotonic() - begun).toBeLessThan(LIMITS.HOLDER_PASSES_MS);
      });
    },
  );

  describe('a connected client with DETACH_CONNECTED=when-idle', () => {
    /** A client is connected, and the device poll has looked at its disk for `ms` while nothing flowed. */
    async function idleFor(ms: number) {
      const rig = await Rig.start({ policy: { detachConnected: 'when-idle' } });
      const { id } = await rig.volume({ vmId: rig.here, mapped: true });
      rig.guest.hold(id, [CLIENT]);
      await rig.domain.traffic.sample();
      await rig.pass(ms);
      return { rig, id };
    }

    it('whose disk has been silent for 30 s does not hold it; the journal says who was connected', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS);
      const operation = await rig.run('detach', { volume_id: id });
      expect([operation.status, rig.calls]).toEqual(['completed', ['detachVolume']]);
      const guard = (await rig.journal(operation.id)).find(({ step }) => step === 'guard');
      expect(guard?.data).toEqual({ forced: false, holders: [`nbd-client: ${CLIENT.detail}`] });
    });

    it('that is copying holds it: the refusal names the clients and the last I/O, and the export is there', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS);
      rig.guest.transfer(id, { written: 4096 });
      await rig.domain.traffic.sample();
      await rig.pass(5_000);
      const operation = await rig.run('detach', { volume_id: id });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
      expect(operation.error).toMatch(/1 NBD client connected, the last I\/O was 5 s ago, at \d{4}-.*Z/);
      expect([rig.calls, rig.exported(id)]).toEqual([[], true]);
    });

    it('whose disk has not been observed for long enough holds it: what is not known is not idle', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS - 1_000);
      const operation = await rig.run('detach', { volume_id: id });
      expect(operation.error).toMatch(/no I\/O since the daemon began to look 29 s ago/);
      expect(rig.calls).toEqual([]);
    });

    it('that has written into the page cache only holds it', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS);
      rig.guest.writeCached(id, 4096);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_IN_USE' });
      expect(rig.calls).toEqual([]);
    });

    it('that goes on between the first look and the send holds it: it is not sent, and the export is back', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS);
      rig.loseThen('detachVolume', () => rig.guest.transfer(id, { written: 4096 }));
      const operation = await rig.run('detach', { volume_id: id });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
      expect([rig.calls, rig.exported(id)]).toEqual([['detachVolume'], true]);
    });

    it('does not excuse a mount', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS);
      rig.guest.hold(id, [CLIENT, MOUNT]);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_IN_USE' });
    });

    it('after a restart of the daemon the silence is observed anew', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS);
      await rig.restart();
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_IN_USE' });
    });

    it('two disks have its serial: nobody knows which one the client uses', async () => {
      const { rig, id } = await idleFor(LIMITS.CLIENT_IDLE_MS);
      await rig.guest.plug({ volumeId: 'twin', size: 5 * GIB, serial: expectedSerial(id) });
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'failed' });
      expect(rig.calls).toEqual([]);
    });
  });

  it('a client that only the export server knows counts, and hides nobody who uses the disk', async () => {
    const rig = await Rig.start({ policy: { detachConnected: 'disconnect' } });
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(id, [MOUNT]);
    await rig.server.connect(exportName(id));
    const operation = await rig.run('detach', { volume_id: id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
    expect(operation.error).toContain(MOUNT.detail);
    expect(operation.error).toContain('nbd-client');
    expect([rig.calls, rig.exported(id)]).toEqual([[], true]);
  });

  it.each([
    ['whose clients are cut anyway', { detachConnected: 'disconnect' }, false, 'completed'],
    ['whose other users are ignored', { detachInUse: 'force', detachConnected: 'refuse' }, true, 'failed'],
  ] as const)(
    'a client that has left a disk %s: is it waited for?',
    async (_disk, policy, isWaitedFor, status) => {
      const rig = await Rig.start({ policy });
      const { id } = await rig.volume({ vmId: rig.here, mapped: true });
      rig.guest.hold(id, [LEAVING]);
      const begun = rig.clock.monotonic();
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status });
      expect(rig.clock.monotonic() - begun >= LIMITS.HOLDER_PASSES_MS).toBe(isWaitedFor);
    },
  );

  it('of a volume on another VM nobody is asked, whatever the guest says of its disks', async () => {
    const rig = await Rig.start();
    const [mine, theirs] = [
      await rig.volume({ vmId: rig.here, mapped: true }),
      await rig.volume({ vmId: rig.vm('Running') }),
    ];
    rig.guest.hold(mine.id, [MOUNT]);
    expect(await rig.run('detach', { volume_id: theirs.id })).toMatchObject({ status: 'completed' });
  });
});

describe('a disk that is not identified', () => {
  /** Two volumes attached by hand to a guest whose disks have no serial: no mapping says which is which. */
  async function make() {
    const rig = await Rig.start({ guest: { serials: false } });
    const volumes: Volume[] = [];
    for (let index = 0; index < 2; index += 1) volumes.push(await rig.volume({ vmId: rig.here }));
    const [one, other] = volumes;
    if (!one || !other) throw new Error('no volumes');
    return { rig, one, other };
  }

  for (const type of ['detach', 'delete'] as const) {
    it(`${type}: one that may be it is mounted, so it is refused, unless forced`, async () => {
      const { rig, one, other } = await make();
      rig.guest.hold(other.id, [MOUNT]);
      const operation = await rig.run(type, { volume_id: one.id });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_IDENTIFIED' });
      expect(operation.error).toContain(MOUNT.detail);
      expect(rig.calls).toEqual([]);
      await rig.run(type, { volume_id: one.id, force: true });
      expect(rig.calls[0]).toBe('detachVolume');
    });

    it(`${type}: its serial cannot be read yet, and it is mounted`, async () => {
      const rig = await Rig.start({ guest: { holdSerials: true } });
      const { id } = await rig.volume({ vmId: rig.here });
      rig.guest.hold(id, [MOUNT]);
      expect(await rig.run(type, { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_NOT_IDENTIFIED' });
      expect(rig.calls).toEqual([]);
    });
  }

  it('the serial that it shows is the emulator’s own text, and it is mounted', async () => {
    const rig = await Rig.start({ guest: { bus: 'virtio-scsi' } });
    const { id } = await rig.volume({ vmId: rig.here, serial: 'drive-scsi0-0-0-1' });
    rig.guest.hold(id, [MOUNT]);
    const operation = await rig.run('detach', { volume_id: id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_IDENTIFIED' });
    expect(rig.calls).toEqual([]);
  });

  it('two disks have its serial, and the second one is mounted', async () => {
    const rig = await Rig.start();
    const { id, size } = await rig.volume({ vmId: rig.here, mapped: true });
    await rig.guest.plug({ volumeId: 'twin', size, serial: expectedSerial(id) });
    rig.guest.hold('twin', [MOUNT]);
    const operation = await rig.run('detach', { volume_id: id });
    expect([operation.status, rig.calls]).toEqual(['failed', []]);
    expect(operation.error).toContain(MOUNT.detail);
  });

  it.each([
    ['the system’s own', async () => ({ rig: await Rig.start({ guest: { serials: false } }), used: null })],
    [
      'another volume’s, by its serial',
      async () => {
        const rig = await Rig.start();
        return { rig, used: (await rig.volume({ vmId: rig.here })).id };
      },
    ],
    [
      'another volume’s, by its mapping',
      async () => {
        const rig = await Rig.start({ guest: { serials: false } });
        const { id } = await rig.volume();
        await rig.run('attach', { volume_id: id, vm_id: rig.here });
        return { rig, used: id };
      },
    ],
  ])('a disk that is %s is not it, whoever uses that', async (_whose, start) => {
    const { rig, used } = await start();
    const { id } = await rig.volume({ vmId: rig.here });
    rig.guest.surpriseUnplug(id);
    rig.guest.hold(used ?? ROOT_DISK.volumeId, [MOUNT]);
    const operation = await rig.run('detach', { volume_id: id });
    expect([operation.status, operation.error]).toEqual(['completed', null]);
  });

  describe('the id of the volume was replaced in CloudStack while it was attached', () => {
    const OLD_ID = '0ddba11c-4f00-4f00-8f00-0123456789ab';

    /** Its disk shows the serial of the old id, or none, and its row names the old id. */
    async function replaced(serials: boolean) {
      const rig = await Rig.start({ guest: { serials } });
      const other = await rig.volume();
      await rig.run('attach', { volume_id: other.id, vm_id: rig.here });
      const volume = await rig.volume({ serial: expectedSerial(OLD_ID) });
      Object.assign(volume, { id: OLD_ID });
      await rig.run('attach', { volume_id: OLD_ID, vm_id: rig.here });
      const row = await rig.ledger.readMapping(OLD_ID);
      expect(row?.linuxState).toBe('detected');
      Object.assign(volume, { id: NEW_ID });
      rig.sent.length = 0;
      return { rig, other };
    }

    const NEW_ID = 'fee1dead-4f00-4f00-8f00-0123456789ab';

    for (const type of ['detach', 'delete'] as const)
      for (const serials of [true, false])
        it(`${type}, ${serials ? 'the serial is that of the old id' : 'disks show no serial'}: its disk is mounted, so it is refused`, async () => {
          const { rig } = await replaced(serials);
          rig.guest.hold(OLD_ID, [MOUNT]);
          const operation = await rig.run(type, { volume_id: NEW_ID });
          expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_IDENTIFIED' });
          expect(operation.error).toContain(MOUNT.detail);
          expect(rig.calls).toEqual([]);
        });

    it('the disk of another volume that is attached here is not it', async () => {
      const { rig, other } = await replaced(true);
      rig.guest.hold(other.id, [MOUNT]);
      await rig.run('detach', { volume_id: NEW_ID });
      expect(rig.calls).toEqual(['detachVolume']);
    });

    it.each(['decision', 'send'])(
      'a list that shows nothing for a moment, at the look of the %s, is asked again',
      async (which) => {
        const { rig, other } = await replaced(true);
        const { listVolumes } = rig.cloud;
        rig.guest.hold(other.id, [MOUNT]);
        let lists = 0;
        rig.cloud.listVolumes = async (filter) => {
          lists += 1;
          return lists === (which === 'decision' ? 1 : 2) ? [] : listVolumes.call(rig.cloud, filter);
        };
        await rig.run('detach', { volume_id: NEW_ID });
        expect(rig.calls).toEqual(['detachVolume']);
      },
    );

    it.each(['shows the old id', 'shows nothing'])('a list that %s tells nothing', async (what) => {
      const { rig, other } = await replaced(true);
      const { listVolumes } = rig.cloud;
      rig.cloud.listVolumes = async (filter) => {
        const volumes = await listVolumes.call(rig.cloud, filter);
        const isOld = what === 'shows the old id';
        return isOld ? volumes.map((one) => (one.id === NEW_ID ? { ...one, id: OLD_ID } : one)) : [];
      };
      for (const id of [OLD_ID, other.id]) {
        rig.guest.hold(id, [MOUNT]);
        expect(await rig.run('detach', { volume_id: NEW_ID })).toMatchObject({
          errorCode: 'DEVICE_NOT_IDENTIFIED',
        });
        rig.guest.hold(id, []);
      }
      expect(rig.calls).toEqual([]);
    });
  });

  it('none that may be it is used: then it does not matter which one it is', async () => {
    const { rig, one } = await make();
    await rig.run('detach', { volume_id: one.id });
    expect(rig.calls).toEqual(['detachVolume']);
  });
});
