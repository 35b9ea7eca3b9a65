import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import type { Device } from '~/server/devices/device';
import { expectedSerial } from '~/server/devices/serial';
import { targetOf } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';
import { revokeExports, revokeUnproven } from '~/server/sync/revoke-exports';
import { Rig, SECOND_MS } from '../operations/rig';
import { GIB, MemoryAppliance } from './appliance';

/**
 * An appliance with two volumes that are mapped and exported, and the look that follows what the test has
 * done to them.
 */
async function make() {
  const appliance = await MemoryAppliance.start();
  const ids = [1, 2].map(() => appliance.addVolume({ vmId: appliance.vmId }).id);
  for (const id of ids) await appliance.plug(id);
  await appliance.sync.run({ dryRun: false, reason: 'test' });
  const [first = '', second = ''] = ids;
  const surprise = async () => {
    const { ledger, exports, vmId, clock } = appliance;
    const snapshot = { ...(await appliance.guest.look()), at: clock.now(), scanned: true };
    return revokeUnproven({ ledger, exports, logger: silentLogger }, vmId, () => snapshot);
  };
  const served = () => ids.filter((id) => appliance.exports.links.has(exportName(id)));
  return { appliance, first, second, surprise, served };
}

describe('a disk that disappears or changes without an operation', () => {
  it('as long as every disk is what its mapping says, nothing happens', async () => {
    const { surprise, served, first, second } = await make();
    expect(await surprise()).toBe(0);
    expect(served()).toEqual([first, second]);
  });

  it('takes its export with it at once, and only its own; the rows wait for the next sync', async () => {
    const { appliance, surprise, served, first, second } = await make();
    appliance.guest.surpriseUnplug(first);
    expect(await surprise()).toBe(1);
    expect(served()).toEqual([second]);
    expect(await appliance.ledger.readMapping(first)).toMatchObject({ linuxState: 'detected' });
  });

  it('the same size under the same letter is another disk all the same', async () => {
    const { appliance, surprise, served, first, second } = await make();
    const path = appliance.guest.devicePath(first);
    appliance.guest.surpriseUnplug(first);
    const stranger = appliance.addVolume({ vmId: appliance.vmId }).id;
    await appliance.plug(stranger);
    expect(appliance.guest.devicePath(stranger)).toBe(path);
    await surprise();
    expect(served()).toEqual([second]);
  });

  it('an export that is published for another disk meanwhile is left alone', async () => {
    const { appliance, surprise, served, first, second } = await make();
    const path = appliance.guest.devicePath(first) ?? '';
    appliance.guest.surpriseUnplug(first);
    const { listMappings } = appliance.ledger;
    appliance.ledger.listMappings = async (vmId) => {
      const before = await listMappings.call(appliance.ledger, vmId);
      await appliance.plug(first);
      const again = (await appliance.guest.look()).devices.find((one) => one.path === path);
      const target = { name: exportName(first), volumeId: first, devicePath: path, size: again?.size ?? 0 };
      await appliance.exports.publish({ ...target, dev: again?.dev ?? '', diskseq: again?.diskseq ?? null });
      return before;
    };
    await surprise();
    expect(served()).toEqual([first, second]);
  });

  it('an export that cannot be withdrawn does not keep the others from being withdrawn', async () => {
    const { appliance, surprise, served, first, second } = await make();
    for (const id of [first, second]) appliance.guest.surpriseUnplug(id);
    const { withdraw } = appliance.exports;
    appliance.exports.withdraw = async (name) => {
      if (name === exportName(first)) throw new Error('read-only file system');
      await withdraw.call(appliance.exports, name);
    };
    expect(await surprise()).toBe(1);
    expect(served()).toEqual([first]);
  });

  it('a disk that has become smaller is closed, one that has grown is not', async () => {
    const { appliance, surprise, served, first, second } = await make();
    await appliance.guest.resize(first, GIB);
    await appliance.guest.resize(second, 7 * GIB);
    expect(await surprise()).toBe(1);
    expect(served()).toEqual([second]);
  });
});

describe('a look at all disks', () => {
  async function look({ appliance }: Awaited<ReturnType<typeof make>>, applianceVmId: string | null) {
    const { ledger, exports, clock, guest } = appliance;
    const snapshot = { ...(await guest.look()), at: clock.now(), scanned: true };
    await revokeExports({ ledger, exports, logger: silentLogger }, applianceVmId, () => snapshot);
  }

  it('closes what only its mapping proves to be wrong, and nothing by mappings of nobody known', async () => {
    const made = await make();
    await made.appliance.guest.resize(made.first, GIB);
    await look(made, null);
    expect(made.served()).toEqual([made.first, made.second]);
    await look(made, made.appliance.vmId);
    expect(made.served()).toEqual([made.second]);
  });

  it('an export without a mapping does not keep the others from being closed', async () => {
    const made = await make();
    const { appliance, first, second } = made;
    const unmapped = { kind: 'delete-mapping', volumeId: first, vmId: appliance.vmId } as const;
    await appliance.ledger.auditedChange(appliance.owned, [unmapped], {
      step: 'test',
      state: 'note',
      data: {},
    });
    await appliance.guest.resize(second, GIB);
    await look(made, appliance.vmId);
    expect(made.served()).toEqual([first]);
  });
});

it('exported disks are named to udev at each look: the daemon that published them may not have been able to', async () => {
  const { appliance, first, second } = await make();
  const { ledger, exports, vmId, clock, guest } = appliance;
  const named: (string | null)[] = [];
  const handsOff = { keep: ({ serial }: Device) => void named.push(serial) };
  const look = async () => {
    named.length = 0;
    const snapshot = { ...(await guest.look()), at: clock.now(), scanned: true };
    await revokeExports({ ledger, exports, logger: silentLogger, handsOff }, vmId, () => snapshot);
  };
  await appliance.plug(appliance.addVolume({ vmId }).id);
  await look();
  expect(named).toEqual([first, second].map(expectedSerial));
  guest.surpriseUnplug(first);
  await look();
  expect(named).toEqual([expectedSerial(second)]);
});

describe('an export that leads to a wrong disk, or to none', () => {
  async function close(
    { appliance }: Awaited<ReturnType<typeof make>>,
    meanwhile: () => Promise<void> = async () => {},
  ) {
    const { ledger, exports, vmId, clock, guest } = appliance;
    const at = clock.now();
    let snapshot = { ...(await guest.look()), at, scanned: true };
    const list = exports.list.bind(exports);
    exports.list = async () => {
      const listed = await list();
      await meanwhile();
      snapshot = { ...(await guest.look()), at, scanned: true };
      return listed;
    };
    const away = Object.assign(Object.create(ledger), {
      listMappings: () => Promise.reject(new Error('away')),
    });
    const parts = { ledger: away, exports, logger: silentLogger };
    await revokeExports(parts, vmId, () => snapshot);
  }

  it('is closed although the database is away and an operation works on the volume', async () => {
    const made = await make();
    made.appliance.guest.surpriseUnplug(made.first);
    await close(made);
    expect(made.served()).toEqual([made.second]);
  });

  it('is closed when the letter has gone to another volume', async () => {
    const made = await make();
    made.appliance.guest.surpriseUnplug(made.first);
    await made.appliance.plug(made.appliance.addVolume({ vmId: made.appliance.vmId }).id);
    await close(made);
    expect(made.served()).toEqual([made.second]);
  });

  it('is closed when a disk without a serial has the letter now, whatever the database says', async () => {
    const made = await make();
    made.appliance.guest.surpriseUnplug(made.first);
    const { id, size } = made.appliance.addVolume({ vmId: made.appliance.vmId });
    await made.appliance.guest.plug({ volumeId: id, size, serial: '' });
    await close(made);
    expect(made.served()).toEqual([made.second]);
  });

  it.each(['absent', 'unreadable'] as const)(
    'is closed after a restart of the daemon, too, when the link names another plug and the serial is %s',
    async (serialState) => {
      const made = await make();
      const { appliance, first, second } = made;
      const { guest, exports } = appliance;
      const path = guest.devicePath(first);
      for (const { path: at, diskseq } of (await guest.look()).devices)
        for (const id of [first, second])
          if (at === guest.devicePath(id) && diskseq !== null) exports.plugs.set(exportName(id), diskseq);
      const look = guest.look.bind(guest);
      guest.look = async () => {
        const seen = await look();
        const devices = seen.devices.map((device) => ({ ...device, serial: null, serialState }));
        return { ...seen, devices };
      };
      exports.forget();
      await close(made);
      expect(made.served()).toEqual([first, second]);
      guest.surpriseUnplug(first);
      const stranger = appliance.addVolume({ vmId: appliance.vmId });
      await guest.plug({ volumeId: stranger.id, size: stranger.size, serial: '' });
      expect(guest.devicePath(stranger.id)).toBe(path);
      await close(made);
      expect(made.served()).toEqual([second]);
    },
  );

  it.each(['pending', 'absent'] as const)(
    'is closed where plugs are not numbered and the serial of the disk that has the letter now is %s',
    async (serialState) => {
      const made = await make();
      const { appliance, first, second } = made;
      const look = appliance.guest.look.bind(appliance.guest);
      const publishedFirst = appliance.guest.devicePath(first);
      let isReplaced = false;
      appliance.guest.look = async () => {
        const seen = await look();
        const unread = { serial: null, serialState };
        const devices = seen.devices.map((device) => ({
          ...device,
          diskseq: null,
          ...(isReplaced && device.path === publishedFirst ? unread : {}),
        }));
        return { ...seen, devices };
      };
      for (const device of (await appliance.guest.look()).devices)
        for (const id of [first, second])
          if (device.path === appliance.guest.devicePath(id))
            await appliance.exports.publish(targetOf(id, device));
      await close(made);
      expect(made.served()).toEqual([first, second]);
      isReplaced = true;
      await close(made);
      expect(made.served()).toEqual([second]);
    },
  );

  it('stays where its disk has no serial and another process has published it: only its mapping tells', async () => {
    const made = await make();
    const { appliance, first, second } = made;
    const look = appliance.guest.look.bind(appliance.guest);
    appliance.guest.look = async () => {
      const seen = await look();
      const silent = { serial: null, serialState: 'absent' as const };
      return { ...seen, devices: seen.devices.map((device) => ({ ...device, ...silent })) };
    };
    const list = appliance.exports.list.bind(appliance.exports);
    appliance.exports.list = async () =>
      (await list()).map((one) => (one.volumeId === first ? { ...one, published: null } : one));
    await close(made);
    expect(made.served()).toEqual([first, second]);
    // The others are judged all the same.
    appliance.guest.surpriseUnplug(second);
    await close(made);
    expect(made.served()).toEqual([first]);
  });

  it('is closed although another one cannot be', async () => {
    const made = await make();
    const { appliance, first, second } = made;
    for (const id of [first, second]) appliance.guest.surpriseUnplug(id);
    const { withdraw } = appliance.exports;
    appliance.exports.withdraw = async (name) => {
      if (name === exportName(first)) throw new Error('read-only file system');
      await withdraw.call(appliance.exports, name);
    };
    await close(made);
    expect(made.served()).toEqual([first]);
  });

  it('stays while the guest has not been read yet', async () => {
    const { appliance, served, first, second } = await make();
    const { ledger, exports, vmId, clock } = appliance;
    const stored = { bootId: null, devices: [], at: clock.now(), scanned: false };
    await revokeExports({ ledger, exports, logger: silentLogger }, vmId, () => stored);
    expect(served()).toEqual([first, second]);
  });

  it('stays when its disk is back by the time it is judged', async () => {
    const made = await make();
    made.appliance.guest.surpriseUnplug(made.first);
    await close(made, () => made.appliance.plug(made.first));
    expect(made.served()).toEqual([made.first, made.second]);
  });
});

it('is closed also when the database is away for so long that the lease has ended; not when another process owns the appliance', async () => {
  const rig = await Rig.start();
  const [first, second] = [
    await rig.volume({ vmId: rig.here, mapped: true }),
    await rig.volume({ vmId: rig.here, mapped: true }),
  ];
  const away = () => Promise.reject(new DaemonError('DATABASE_UNAVAILABLE', 'away'));
  Object.assign(rig.ledger, { readOwner: away, renewLease: away, listMappings: away });
  await rig.pass(10 * SECOND_MS);
  expect(rig.domain.ownership.engine).toBeNull();
  rig.guest.surpriseUnplug(first.id);
  await rig.volume({ vmId: rig.here });
  await rig.pass(SECOND_MS);
  await rig.domain.revokeExports();
  expect([rig.exported(first.id), rig.exported(second.id)]).toEqual([false, true]);
  rig.domain.ownership.otherOwner = 'theirs';
  rig.guest.surpriseUnplug(second.id);
  await rig.pass(SECOND_MS);
  await rig.domain.revokeExports();
  expect(rig.exported(second.id)).toBe(true);
});

it('is left to the next owner by a daemon that has stopped: it may have made a new one by now', async () => {
  const rig = await Rig.start();
  const { id } = await rig.volume({ vmId: rig.here, mapped: true });
  await rig.stop();
  rig.guest.surpriseUnplug(id);
  await rig.pass(SECOND_MS);
  await rig.domain.revokeExports();
  expect(rig.exported(id)).toBe(true);
  await rig.restart();
  await rig.domain.revokeExports();
  expect(rig.exported(id)).toBe(false);
});
