import type { z } from 'zod';
import { stateOf } from '../../cloudstack/volume-states';
import { GIB } from '../../core/gib';
import type { ResolvedVolume } from '../../daemon/volumes/resolve-volume';
import type { VolumePage, VolumeSummary } from '../../daemon/volumes/volume-list';
import { isReadOnly } from '../../model/export-metadata';
import { resolvedVolumeSchema, volumeListSchema } from '../schemas/volumes';
import { pathOf } from './replies';
import { replyOf } from './reply-of';

const listed = volumeListSchema.shape.volumes.element;

export function volumeListReply(page: VolumePage) {
  const { at, ageMs, unknown, notShown } = page;
  const cloudstack = replyOf(volumeListSchema.shape.cloudstack, {
    kind: unknown === null ? 'seen' : 'unknown',
    at,
    ageSeconds: Math.round(ageMs / 1000),
    why: unknown?.why ?? null,
    unknownSince: unknown?.at ?? null,
    notShown,
  });
  return { cloudstack, volumes: page.volumes.map(summaryReply) };
}

const NOTHING_SHOWN = {
  name: null,
  type: null,
  state: null,
  size: null,
  vmId: null,
  vmName: null,
  attached: null,
  created: null,
  zoneId: null,
  zoneName: null,
} as const;

function summaryReply({ id, volume, rows }: VolumeSummary) {
  const { mapping, export: record, lastOperation } = rows;
  const { mapping: mappingShape, export: exportShape, last_operation } = listed.shape;
  return {
    ...shownReply(id, volume),
    mapping: mapping && replyOf(mappingShape.unwrap(), { ...mapping, devicePath: pathOf(mapping) }),
    export: record && replyOf(exportShape.unwrap(), { ...record, readOnly: isReadOnly(record) }),
    last_operation: lastOperation && replyOf(last_operation.unwrap(), lastOperation),
  };
}

const shownSchema = listed.omit({ mapping: true, export: true, last_operation: true });
/** What was seen of a volume stays the same object until it is looked at again. */
const made = new WeakMap<VolumeSummary['volume'], z.infer<typeof shownSchema>>();

function shownReply(id: string, evidence: VolumeSummary['volume']): z.infer<typeof shownSchema> {
  const before = made.get(evidence);
  if (before?.volume_id === id) return before;
  const volume = evidence.kind === 'seen' ? evidence.value : null;
  const reply = replyOf(shownSchema, {
    ...(volume ?? NOTHING_SHOWN),
    volumeId: id,
    stateMeans: volume && stateOf(volume).means,
    sizeGib: volume?.size ? volume.size / GIB : null,
    account: volume?.owner.account ?? null,
    projectId: volume?.owner.projectId ?? null,
    notShown: whyNotShown(evidence),
    at: evidence.at,
  });
  made.set(evidence, reply);
  return reply;
}

function whyNotShown(evidence: VolumeSummary['volume']): string | null {
  switch (evidence.kind) {
    case 'seen':
      return null;
    case 'absent':
      return evidence.proof;
    case 'unknown':
      return evidence.why;
    default:
      return evidence satisfies never;
  }
}

export function resolvedVolumeReply({ volume, matchedBy, at }: ResolvedVolume) {
  return replyOf(resolvedVolumeSchema, { ...volume, volumeId: volume.id, matchedBy, at });
}
