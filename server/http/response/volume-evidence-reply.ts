import { stateOf } from '../../cloudstack/volume-states';
import type { VolumeEvidence } from '../../daemon/volumes/volume-evidence';
import { describeHolder } from '../../devices/disk-users';
import type { Evidence, Witness } from '../../model/evidence';
import { type VolumeEvidenceReply, volumeEvidenceSchema } from '../schemas/volumes';
import { replyOf, timestampOf } from './reply-of';

const { cloudstack, guest, database, export_server, last_operation } = volumeEvidenceSchema.shape;

export function volumeEvidenceReply(evidence: VolumeEvidence): VolumeEvidenceReply {
  const { volumeId, unknownSince, lastOperation } = evidence;
  const said = <T, V>(one: Evidence<T>, brief: (value: T) => V) => ({
    kind: one.kind,
    value: one.kind === 'seen' ? brief(one.value) : null,
    proof: one.kind === 'absent' ? one.proof : null,
    why: one.kind === 'unknown' ? one.why : null,
    unknownSince: one.kind === 'unknown' ? (unknownSince[one.by] ?? one.at) : null,
    remedy: one.kind === 'unknown' ? remedyOf(one.by, volumeId) : null,
    at: one.at,
    by: one.by,
  });
  return replyOf(volumeEvidenceSchema, {
    volumeId,
    cloudstack: replyOf(
      cloudstack,
      said(evidence.cloudstack, (volume) => ({
        name: volume.name,
        state: volume.state,
        state_means: stateOf(volume).means,
        size: volume.size,
        vm_id: volume.vmId,
        vm_name: volume.vmName,
        attached: volume.attached,
      })),
    ),
    guest: replyOf(
      guest,
      said(evidence.guest, ({ path, size, serial, diskseq, users }) => ({
        device_path: path,
        size,
        serial,
        diskseq,
        used_by: users.map(describeHolder),
      })),
    ),
    database: replyOf(
      database,
      said(evidence.database, ({ mapping, export: record }) => ({
        vm_id: mapping?.vmId ?? null,
        device_path: mapping?.devicePath ?? null,
        linux_state: mapping?.linuxState ?? null,
        mapped_since: mapping ? timestampOf(mapping.createdAt) : null,
        export_status: record?.status ?? null,
      })),
    ),
    exportServer: replyOf(
      export_server,
      said(evidence.exportServer, ({ target, clients }) => ({ target, clients })),
    ),
    lastOperation: lastOperation && replyOf(last_operation.unwrap(), lastOperation),
  });
}

/** How a person finds out what a witness could not tell. */
function remedyOf(by: Witness, volumeId: string): string {
  switch (by) {
    case 'cloudstack':
      return `volumectl check cloudstack; if only this volume is hidden, look with a key that may: cmk list volumes id=${volumeId} listall=true projectid=-1`;
    case 'guest':
      return `volumectl device explain ${volumeId}`;
    case 'database':
      return 'volumectl check database';
    case 'export-server':
      return 'volumectl export validate; systemctl status volume-daemon-nbd';
    default:
      return by satisfies never;
  }
}
