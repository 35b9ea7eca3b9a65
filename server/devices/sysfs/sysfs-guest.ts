import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { messageOf } from '../../core/errors';
import { isUuid } from '../../core/is-uuid';
import { LIMITS } from '../../core/limits';
import { seen, unknown } from '../../model/evidence';
import type { ClientState, Device, Guest } from '../device';
import { watchNodes } from './dev-watch';
import { byName, DEVICE_NAME } from './device-names';
import { type Connection, connectionOf } from './disk-connection';
import { ExclusiveOpens } from './exclusive-open';
import { findHolders } from './holders';
import { isGone, readNumber, readSmall } from './kernel-files';
import { readPciSlots } from './pci-slots';
import { findRootDisks } from './root-disk';
import { type SerialAnswer, SerialReader } from './serial-reader';

export interface SysfsOptions {
  /** `/sys/block` */
  readonly sysBlockDir: string;
  /** `/dev` */
  readonly devDir: string;
  /** `/proc` */
  readonly procDir: string;
  /** `/sys/class/dmi/id` */
  readonly dmiDir: string;
  /** `/etc` */
  readonly etcDir: string;
  /** `/run`; undefined in a guest without systemd and udev of its own. */
  readonly runDir?: string | undefined;
  /** Processes that serve a client of our exports (`processIdentity`). */
  readonly exportClients: () => Promise<ReadonlyMap<string, ClientState>>;
  readonly clock: Clock;
}

const SECTOR = 512;
/** How often a device that is being replaced during the look is read again before the look leaves it out. */
const TORN_TRIES = 3;
/** How many further passes over all devices a look makes until two agree. */
const LOOK_TRIES = 10;

/** What the last look read of a plug; dev and controller never change while the disk stays plugged. */
interface Known {
  readonly dev: string;
  readonly connection: Connection;
  readonly sectors: number;
}

interface Seen {
  readonly device: Omit<Device, 'serial' | 'serialState'>;
  readonly connection: Connection;
  /** Names this plug of the disk. */
  readonly plug: string;
}

/**
 * The guest as sysfs shows it. All but the serial is read synchronously: none of these files touches a disk,
 * and asynchronous calls cost 6 to 8 times the CPU (measured). A device that vanishes during a look is left
 * out; any other failure fails the look, because an unreadable disk must not look like an unplugged one.
 */
export function createSysfsGuest(options: SysfsOptions): Guest {
  const rings = new Set<() => void>();
  const ringAll = () => {
    for (const ring of [...rings]) ring();
  };
  const serials = new SerialReader(options.clock, ringAll);
  const root = rememberRoot(options);
  const known = new Map<string, Known>();
  const looks = new KeyedMutex();
  const ignoredPids = new Set([process.pid]);
  const opens = new ExclusiveOpens(options.clock);
  return {
    look: async () => {
      const { bootId, disks } = lookAtRest(options, known);
      const plugs = new Set(disks.map(({ plug }) => plug));
      const watched = disks.filter(({ connection }) => connection.bus !== null);
      for (const plug of known.keys()) if (!plugs.has(plug)) known.delete(plug);
      const ask = ({ device, plug }: Seen): SerialAnswer =>
        serials.ask(plug, `${options.sysBlockDir}/${device.name}/${serialFile(device)}`, {
          comesLate: device.bus === 'virtio',
          isStill: () => isStill(`${options.sysBlockDir}/${device.name}`, plug),
        });
      serials.keepOnly(plugs);
      // A healthy disk answers in well under a millisecond, so most looks know a new serial at once.
      if (disks.map(ask).some(({ serialState }) => serialState === 'pending')) {
        await serials.settle(LIMITS.SERIAL_GRACE_MS);
      }
      const rootDisks = root(bootId);
      const devices = watched.map((one): Device => {
        const device = { ...one.device, ...serialOf(ask(one)) };
        const isRoot = rootDisks?.disks.has(device.name) === true;
        return isRoot || rootDisks?.complete ? { ...device, root: isRoot } : device;
      });
      const others = disks
        .filter(({ connection, device }) => connection.bus === null && !rootDisks?.disks.has(device.name))
        .map((one) => ({ ...one.device, ...serialOf(ask(one)), bus: one.connection.label }));
      return { bootId, devices, others };
    },
    onHint: (ring) => {
      rings.add(ring);
      const stop = watchNodes(options.devDir, options.clock, ring);
      return () => {
        rings.delete(ring);
        stop();
      };
    },
    // One look at a time: an exclusive open of ours would make another one fail.
    holders: (devices) =>
      looks.run('holders', () => findHolders({ ...options, ignoredPids, opens }, devices)),
    slots: async () => {
      const at = options.clock.now();
      try {
        const slots = readPciSlots(join(options.sysBlockDir, '../bus/pci'));
        return slots ? seen(slots, at, 'guest') : unknown('the guest shows no hot-plug slots', at, 'guest');
      } catch (error) {
        return unknown(messageOf(error), at, 'guest');
      }
    },
    productUuid: async () => {
      const text = readSmall(join(options.dmiDir, 'product_uuid'))?.toLowerCase() ?? '';
      return isUuid(text) ? text : null;
    },
  };
}

interface Look {
  readonly bootId: string | null;
  readonly disks: readonly Seen[];
}

/**
 * All devices as they were at one moment: while disks come, go or change their names, a single pass
 * could show one disk under two names. So a pass that shows other plugs than the last look is made
 * again until two agree.
 */
function lookAtRest(options: SysfsOptions, known: Map<string, Known>): Look {
  const plugsOf = ({ disks }: Look) => disks.map(({ plug }) => plug).join(' ');
  const before = new Set(known.keys());
  let look = lookAtAll(options, known);
  if (look.disks.every(({ plug }) => before.has(plug))) return look;
  for (let attempt = 0; attempt < LOOK_TRIES; attempt += 1) {
    const again = lookAtAll(options, known);
    const agree = plugsOf(again) === plugsOf(look);
    look = again;
    if (agree) return look;
  }
  throw new Error(`disks came and went during ${LOOK_TRIES} looks one after another`);
}

/** Ordered as the kernel names them. Throws when the folder cannot be read or holds too many devices. */
function lookAtAll({ sysBlockDir, devDir, procDir }: SysfsOptions, known: Map<string, Known>): Look {
  const bootId = readSmall(join(procDir, 'sys/kernel/random/boot_id'));
  const names = readdirSync(sysBlockDir).filter((name) => DEVICE_NAME.test(name));
  if (names.length > LIMITS.DEVICES_MAX) {
    throw new Error(`${names.length} disks in ${sysBlockDir}, at most ${LIMITS.DEVICES_MAX} are watched`);
  }
  const disks = names
    .map((name) => ({ name }))
    .sort(byName)
    .flatMap(({ name }) => {
      const place = { name, dir: `${sysBlockDir}/${name}`, path: `${devDir}/${name}` };
      return lookAt(place, bootId, known) ?? [];
    });
  return { bootId, disks };
}

/**
 * One device, read between two equal readings of diskseq, so that no answer mixes two disks. The second
 * reading is saved when plug and size are those of the last look: an idle daemon looks all the time. Null
 * when it is gone.
 */
function lookAt(
  { name, dir, path }: { readonly name: string; readonly dir: string; readonly path: string },
  bootId: string | null,
  known: Map<string, Known>,
): Seen | null {
  // A boot counts diskseq anew, and this process may live through one.
  const prefix = `${bootId ?? ''}/${name}`;
  for (let attempt = 0; attempt < TORN_TRIES; attempt += 1) {
    const plug = plugOf(dir, prefix);
    if (plug === null) return null;
    const sectors = readNumber(`${dir}/size`);
    let facts = known.get(plug.key);
    if (!facts || facts.sectors !== sectors) {
      const dev = facts ? facts.dev : readSmall(join(dir, 'dev'));
      const connection = facts ? facts.connection : connectionOf(dir);
      if (plugOf(dir, prefix)?.key !== plug.key) continue;
      // The kernel gives a disk its number last, and takes it away first.
      if (sectors === null || connection === null || dev === null) return null;
      facts = { dev, connection, sectors };
      known.set(plug.key, facts);
    }
    const { dev, connection } = facts;
    const { bus, controller } = connection;
    const size = facts.sectors * SECTOR;
    const device = { name, path, size, diskseq: plug.diskseq, dev, controller, ...(bus ? { bus } : {}) };
    return { plug: plug.key, device, connection };
  }
  return null;
}

/**
 * Before kernel 5.15 there is no diskseq. Inside this process the inode number of the sysfs folder replaces
 * it: a disk that is plugged again gets another one, and its serial is read again.
 */
function plugOf(dir: string, prefix: string): { key: string; diskseq: number | null } | null {
  const diskseq = readNumber(`${dir}/diskseq`);
  if (diskseq !== null) return { key: `${prefix}#${diskseq}`, diskseq };
  try {
    return { key: `${prefix}@${statSync(dir).ino}`, diskseq: null };
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function isStill(dir: string, plug: string): boolean {
  try {
    return plugOf(dir, plug.replace(/[#@]\d+$/, ''))?.key === plug;
  } catch {
    return false;
  }
}

/** A Xen disk has no such file, and so no serial. */
function serialFile({ name, bus }: Pick<Device, 'name' | 'bus'>): string {
  if (name.startsWith('nvme')) return 'device/serial';
  return bus === 'virtio-scsi' || (bus === undefined && name.startsWith('sd')) ? 'device/vpd_pg80' : 'serial';
}

/** Only these two of what is remembered of a serial. */
function serialOf({ serial, serialState }: SerialAnswer): SerialAnswer {
  return { serial, serialState };
}

/** The disks behind `/` are looked up once per boot: they do not change while the system runs. */
function rememberRoot(options: SysfsOptions): (bootId: string | null) => ReturnType<typeof findRootDisks> {
  let known: { bootId: string | null; disks: ReturnType<typeof findRootDisks> } | null = null;
  return (bootId) => {
    if (known?.bootId !== bootId || known.disks === null) known = { bootId, disks: findRootDisks(options) };
    return known.disks;
  };
}
