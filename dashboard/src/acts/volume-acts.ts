import { isUuid } from '../../../server/core/is-uuid';
import { api, volumePath } from '../api';
import { shortId } from '../format';
import { startAll } from './accepted';
import type { Act, Choice, Look } from './act';
import { lookAtVolume } from './look-at-volume';

const GIB = 1024 ** 3;

/** A volume as a dialog names it. */
export interface Target {
  readonly id: string;
  /** Empty while it is not known. */
  readonly name: string;
}

export function called({ id, name }: Target): string {
  return name === '' ? `volume ${shortId(id)}` : name;
}

export function createAct(): Act {
  return {
    title: 'Create a volume',
    verb: 'Create',
    role: 'operate',
    consequences: [
      'CloudStack creates a data volume. It is attached to nothing and exported nowhere.',
      'The size is in whole GiB; an offering with a size of its own decides it.',
    ],
    fields: [
      { kind: 'text', name: 'name', label: 'Name' },
      { kind: 'number', name: 'gib', label: 'Size in GiB', value: '10' },
    ],
    look: lookForPlaces,
    send: ({ name, gib, zone_id, disk_offering_id }, keyOf) =>
      startAll(
        [
          {
            name: 'create',
            method: 'POST',
            path: '/api/v1/volumes',
            body: { name, size: Number(gib) * GIB, zone_id, disk_offering_id },
          },
        ],
        keyOf,
      ),
  };
}

/** Which zones and offerings there are; the configured zone first. */
async function lookForPlaces(): Promise<Look> {
  const [zones, offerings] = await Promise.all([api.zones(), api.offerings()]);
  const sorted = [...zones].sort((a, b) => Number(b.configured) - Number(a.configured));
  const choice = (id: string, text: string): Choice => ({ value: id, text });
  return {
    found: [],
    blocked:
      zones.length === 0 || offerings.length === 0
        ? 'CloudStack shows no zone or no disk offering to this key.'
        : null,
    fields: [
      {
        kind: 'choice',
        name: 'zone_id',
        label: 'Zone',
        choices: sorted.map(({ id, name, configured }) =>
          choice(id, configured ? `${name} (configured)` : name),
        ),
      },
      {
        kind: 'choice',
        name: 'disk_offering_id',
        label: 'Disk offering',
        choices: offerings.map(({ id, name, size_gib }) =>
          choice(id, size_gib === null ? `${name} (any size)` : `${name} (${size_gib} GiB)`),
        ),
      },
    ],
  };
}

/** `target` null: which volume is asked for. */
export function attachAct(target: Target | null, applianceId: string): Act {
  return {
    title: target === null ? 'Attach a volume' : `Attach ${called(target)}`,
    verb: 'Attach',
    role: 'operate',
    consequences: [
      'CloudStack attaches the volume to the VM.',
      'On this appliance its disk is then found by its serial and exported over NBD; when it cannot be told which disk it is, the operation fails.',
    ],
    fields: [
      ...(target === null
        ? [
            {
              kind: 'text',
              name: 'volume',
              label: 'The volume: its name, its id, or the first 8 characters',
            } as const,
          ]
        : []),
      {
        kind: 'text',
        name: 'vm_id',
        label: 'Id of the VM (this appliance unless another is named)',
        hint: applianceId,
      },
    ],
    ...(target !== null && { look: () => lookAtVolume(target.id) }),
    send: async ({ volume, vm_id }, keyOf) => {
      const volumeId = target?.id ?? (await wholeId(String(volume)));
      return startAll([attachRequest(volumeId, String(vm_id) || applianceId)], keyOf);
    },
  };
}

/** What may mean two volumes is refused. */
async function wholeId(named: string): Promise<string> {
  const reference = named.trim();
  return isUuid(reference.toLowerCase()) ? reference : (await api.resolve(reference)).volume_id;
}

export function attachRequest(volumeId: string, vmId: string) {
  return {
    name: 'attach',
    method: 'POST',
    path: `${volumePath(volumeId)}/attach`,
    body: { vm_id: vmId },
  } as const;
}

export function detachRequest(volumeId: string, { force = false } = {}) {
  const body = force ? { force } : {};
  return { name: 'detach', method: 'POST', path: `${volumePath(volumeId)}/detach`, body } as const;
}

export function detachAct(target: Target): Act {
  return {
    title: `Detach ${called(target)}`,
    verb: 'Detach',
    role: 'operate',
    consequences: [
      'CloudStack detaches the volume; the data stays. On this appliance its export is withdrawn first, and the disk must have left this guest before it is done.',
      'While somebody uses the disk it is refused, unless it is forced: then clients are cut off, and what they have not written is lost.',
    ],
    fields: [{ kind: 'check', name: 'force', label: 'Force: also when the disk is in use' }],
    look: () => lookAtVolume(target.id),
    mustType: ({ force }) => (force === true ? shortId(target.id) : null),
    send: ({ force }, keyOf) => startAll([detachRequest(target.id, { force: force === true })], keyOf),
  };
}

export function recoverAct(target: Target): Act {
  return {
    title: `Recover ${called(target)}`,
    verb: 'Bring it back',
    role: 'operate',
    consequences: [
      `CloudStack takes the volume ${target.id} out of its trash, with everything on it. It is attached to nothing and exported nowhere afterwards.`,
      'Until CloudStack expunges it, and only where the key may recover volumes.',
    ],
    look: () => lookAtVolume(target.id),
    send: (_, keyOf) =>
      startAll(
        [{ name: 'recover', method: 'POST', path: `${volumePath(target.id)}/recover`, body: {} }],
        keyOf,
      ),
  };
}

export function deleteAct(target: Target): Act {
  return {
    title: `Delete ${called(target)}`,
    verb: 'Delete',
    role: 'operate',
    consequences: [
      `The volume ${target.id} and everything on it is deleted in CloudStack. When it is attached to this appliance it is detached first.`,
      'With DELETE_MODE=trash CloudStack keeps it for a while, and it can be recovered; otherwise nothing brings it back.',
      'A volume that is attached to another VM is refused.',
    ],
    fields: [{ kind: 'check', name: 'force', label: 'Force: also when the disk is in use' }],
    look: () => lookAtVolume(target.id),
    mustType: () => shortId(target.id),
    send: ({ force }, keyOf) =>
      startAll(
        [
          {
            name: 'delete',
            method: 'DELETE',
            path: volumePath(target.id),
            body: force === true ? { force } : {},
          },
        ],
        keyOf,
      ),
  };
}
