import { sizeText } from '../../../cli/output/units';
import { LIMITS } from '../../../server/core/limits';
import type { VolumeListReply } from '../../../server/http/schemas/volumes';
import { api } from '../api';
import { clockTime, plural, shortId } from '../format';
import { startAll } from './accepted';
import type { Act, Field, Look } from './act';

type Summary = VolumeListReply['volumes'][number];

const PREFIX = 'volume:';

/** One snapshot of each chosen volume of a VM, all or none. */
export function snapshotGroupAct(vmId: string): Act {
  return {
    title: `Take snapshots of the volumes of VM ${shortId(vmId)}`,
    verb: 'Take them',
    role: 'operate',
    consequences: [
      'CloudStack copies each chosen volume as it is now. They stay where they are, and their users go on. When one fails, the snapshots of the others are deleted.',
      'They are taken side by side, not at one moment, and what their users have not flushed yet is not in them: stop the VM, or detach the volumes, where they must fit together.',
    ],
    fields: [
      {
        kind: 'text',
        name: 'name',
        label: 'What their names begin with (need not be given)',
        hint: 'snapshot',
      },
    ],
    look: () => lookForVolumes(vmId),
    send: ({ name, ...values }, keyOf) => {
      const chosen = Object.keys(values).filter((key) => key.startsWith(PREFIX) && values[key] === true);
      const body = {
        vm_id: vmId,
        volume_ids: chosen.map((key) => key.slice(PREFIX.length)),
        ...(name !== '' && name !== undefined && { name }),
      };
      const request = {
        name: 'snapshot-group',
        method: 'POST',
        path: '/api/v1/snapshots/group',
        body,
      } as const;
      return startAll([request], keyOf);
    },
  };
}

async function lookForVolumes(vmId: string): Promise<Look> {
  const query = new URLSearchParams({ vm_id: vmId, limit: String(LIMITS.GROUP_VOLUMES) });
  const { volumes, cloudstack, next } = await api.volumes(query);
  const asOf = `${plural(volumes.length, 'volume')} of VM ${vmId}, as of ${clockTime(cloudstack.at)}.`;
  const stale = cloudstack.kind === 'seen' ? [] : [`CloudStack could not be asked since: ${cloudstack.why}`];
  const more = next ? [`It has more: a group has at most ${LIMITS.GROUP_VOLUMES}.`] : [];
  return {
    found: [asOf, ...stale, ...more],
    blocked: volumes.length === 0 ? 'CloudStack shows no volume of this VM.' : null,
    fields: volumes.map(volumeField),
  };
}

function volumeField({ volume_id, name, size, type }: Summary): Field {
  const about = [name ?? shortId(volume_id), size === null ? null : sizeText(size), type].filter(Boolean);
  return { kind: 'check', name: `${PREFIX}${volume_id}`, label: about.join(' · '), checked: type !== 'ROOT' };
}
