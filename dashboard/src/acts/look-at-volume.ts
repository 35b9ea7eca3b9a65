import { witnessTexts } from '../../../cli/evidence-text';
import type { VolumeEvidenceReply } from '../../../server/http/schemas/volumes';
import { api } from '../api';
import { clockTime } from '../format';
import type { Look } from './act';

/**
 * What is known of a volume now. What cannot be undone waits until CloudStack says which volume this is, and
 * the guest who uses it.
 */
export async function lookAtVolume(volumeId: string): Promise<Look> {
  const evidence = await api.evidence(volumeId);
  return { found: evidenceLines(evidence), blocked: null, unsure: whyNotKnown(evidence) };
}

export function whyNotKnown({ cloudstack, guest }: VolumeEvidenceReply): string | null {
  const unknown = [
    ...(cloudstack.kind === 'unknown' ? ['CloudStack'] : []),
    ...(guest.kind === 'unknown' ? ['this guest'] : []),
  ];
  if (unknown.length === 0) return null;
  return `What would be lost is not known while ${unknown.join(' and ')} cannot be asked. Nothing that cannot be undone is sent before that.`;
}

export function evidenceLines(evidence: VolumeEvidenceReply): string[] {
  return witnessTexts(evidence).map(({ witness, kind, text, unknownSince }) => {
    if (kind !== 'unknown') return `${witness}: ${text}`;
    const since = unknownSince === null ? '' : ` since ${clockTime(unknownSince)}`;
    return `${witness}: not known${since}: ${text}`;
  });
}
