import { sizeText } from '../../../cli/output/units';
import { snapshotPhase } from '../../../server/cloudstack/snapshot-states';
import type { SnapshotReply } from '../../../server/http/schemas/volumes';
import { api, volumePath } from '../api';
import { clockTime, shortId } from '../format';
import { startAll } from './accepted';
import type { Act, Look } from './act';
import { evidenceLines, lookAtVolume, whyNotKnown } from './look-at-volume';
import { called, type Target } from './volume-acts';

const GIB = 1024 ** 3;

/** What changes size or content of a volume. */
export function resizeAct(target: Target): Act {
  return {
    title: `Resize ${called(target)}`,
    verb: 'Make it larger',
    role: 'operate',
    consequences: [
      'CloudStack makes the volume larger, attached or not. It cannot be made smaller again; the data stays.',
      'On this appliance its export is closed until this guest shows the new size.',
      'What is on the disk (partitions, file systems) does not grow by itself.',
    ],
    look: () => lookForSize(target.id),
    send: ({ gib }, keyOf) =>
      startAll(
        [
          {
            name: 'resize',
            method: 'POST',
            path: `${volumePath(target.id)}/resize`,
            body: { size: Number(gib) * GIB },
          },
        ],
        keyOf,
      ),
  };
}

/** The least size that is asked for is one GiB more than the volume has. */
async function lookForSize(volumeId: string): Promise<Look> {
  const evidence = await api.evidence(volumeId);
  const size = evidence.cloudstack.value?.size ?? null;
  const least = size === null ? null : Math.floor(size / GIB) + 1;
  return {
    found: evidenceLines(evidence),
    blocked: least === null ? 'How large the volume is now is not known.' : null,
    fields:
      least === null
        ? []
        : [{ kind: 'number', name: 'gib', label: 'New size in GiB', value: String(least), min: least }],
  };
}

export function snapshotAct(target: Target): Act {
  return {
    title: `Take a snapshot of ${called(target)}`,
    verb: 'Take it',
    role: 'operate',
    consequences: [
      'CloudStack copies the volume as it is now. It stays where it is, and its users go on.',
      'What its users have not flushed yet is not in the snapshot: detach the volume first for one that must hold everything.',
    ],
    fields: [
      {
        kind: 'text',
        name: 'name',
        label: 'What its name begins with (need not be given)',
        hint: 'snapshot',
      },
    ],
    look: () => lookAtVolume(target.id),
    send: ({ name }, keyOf) =>
      startAll(
        [
          {
            name: 'snapshot',
            method: 'POST',
            path: `${volumePath(target.id)}/snapshots`,
            body: name === '' || name === undefined ? {} : { name },
          },
        ],
        keyOf,
      ),
  };
}

export function deleteSnapshotAct(target: Target, snapshot: SnapshotReply): Act {
  return {
    title: `Delete the snapshot ${snapshot.name}`,
    verb: 'Delete the snapshot',
    role: 'operate',
    consequences: [
      `The snapshot ${snapshot.id} of ${called(target)} is deleted in CloudStack. Nothing brings it back.`,
      'The volume itself is not touched.',
    ],
    async look() {
      const now = await snapshotNow(target.id, snapshot.id);
      return now === null ? NOT_SHOWN : { found: [snapshotLine(now)], blocked: null };
    },
    mustType: () => shortId(snapshot.id),
    send: (_, keyOf) =>
      startAll(
        [
          {
            name: 'delete-snapshot',
            method: 'DELETE',
            path: `/api/v1/snapshots/${encodeURIComponent(snapshot.id)}`,
            body: {},
          },
        ],
        keyOf,
      ),
  };
}

export function revertAct(target: Target, snapshot: SnapshotReply): Act {
  return {
    title: `Revert ${called(target)}`,
    verb: 'Revert the volume',
    role: 'operate',
    consequences: [
      `The content of volume ${target.id} becomes that of the snapshot ${snapshot.name}${madeAt(snapshot)}. Everything that was written since is lost.`,
      'Its size becomes that of the snapshot.',
      'Only while it is detached or its VM is stopped, and while this appliance has no disk of it. It is sent once: when its end cannot be found out the operation fails and says so.',
    ],
    look: () => lookForRevert(target.id, snapshot.id),
    mustType: () => shortId(target.id),
    send: (_, keyOf) =>
      startAll(
        [
          {
            name: 'revert',
            method: 'POST',
            path: `${volumePath(target.id)}/revert`,
            body: { snapshot_id: snapshot.id },
          },
        ],
        keyOf,
      ),
  };
}

async function lookForRevert(volumeId: string, snapshotId: string): Promise<Look> {
  const [evidence, now] = await Promise.all([api.evidence(volumeId), snapshotNow(volumeId, snapshotId)]);
  if (now === null) return NOT_SHOWN;
  const isHere = evidence.guest.kind === 'seen';
  const isWhole = snapshotPhase(now.state) === 'ready';
  return {
    found: [snapshotLine(now), ...evidenceLines(evidence)],
    blocked: isHere
      ? 'This guest has a disk of it: detach the volume first.'
      : isWhole
        ? null
        : `The snapshot is in state ${now.state}.`,
    unsure: whyNotKnown(evidence),
  };
}

const NOT_SHOWN: Look = { found: [], blocked: 'CloudStack does not show this snapshot of the volume now.' };

async function snapshotNow(volumeId: string, snapshotId: string): Promise<SnapshotReply | null> {
  return (await api.snapshots(volumeId)).find(({ id }) => id === snapshotId) ?? null;
}

function snapshotLine(snapshot: SnapshotReply): string {
  const { name, state, size } = snapshot;
  return `Snapshot ${name}: ${state}, ${sizeText(size)}${madeAt(snapshot)}`;
}

function madeAt({ created }: SnapshotReply): string {
  return created === null ? '' : ` of ${clockTime(created)}`;
}
