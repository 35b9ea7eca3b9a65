import type { VolumeEvidenceReply } from '~/server/http/schemas/volumes';
import { timeText } from './output/text';
import { sizeText } from './output/units';

/** What one witness says of a volume, in words. */
export interface WitnessText {
  readonly witness: string;
  readonly kind: 'seen' | 'absent' | 'unknown';
  /** What it shows, the proof that there is nothing, or why it is not known. */
  readonly text: string;
  /** RFC 3339: since when it is not known; null when it is. */
  readonly unknownSince: string | null;
  /** How to find out what is not known; empty otherwise. */
  readonly remedy: string;
}

/** The four witnesses, in the order in which a volume is made. Also used by the dashboard. */
export function witnessTexts(evidence: VolumeEvidenceReply): WitnessText[] {
  const { cloudstack, guest, database, export_server: server } = evidence;
  return [
    said('CloudStack', cloudstack, cloudText),
    said('Guest', guest, ({ device_path, size, serial, diskseq, used_by }) =>
      [
        `the disk ${device_path}`,
        sizeText(size),
        serial === null ? 'no serial' : `serial ${serial}`,
        ...(diskseq === null ? [] : [`diskseq ${diskseq}`]),
        used_by.length === 0 ? 'nobody uses it' : `used by ${used_by.join('; ')}`,
      ].join(', '),
    ),
    said('Database', database, rowText),
    said('Export server', server, ({ target, clients }) =>
      target === null
        ? 'its export leads nowhere'
        : `its export leads to ${target}, ${clients} client${clients === 1 ? '' : 's'} connected`,
    ),
  ];
}

type Said = Pick<VolumeEvidenceReply['guest'], 'kind' | 'proof' | 'why' | 'unknown_since' | 'remedy'>;

function said<T>(
  witness: string,
  one: Said & { readonly value: T | null },
  text: (value: T) => string,
): WitnessText {
  const { kind, value, proof, why, unknown_since, remedy } = one;
  return {
    witness,
    kind,
    text: value === null ? (proof ?? why ?? '') : text(value),
    unknownSince: unknown_since,
    remedy: remedy ?? '',
  };
}

type Seen<Name extends 'cloudstack' | 'database'> = NonNullable<VolumeEvidenceReply[Name]['value']>;

function cloudText(volume: Seen<'cloudstack'>): string {
  const { name, state, state_means, size, vm_id, vm_name, attached } = volume;
  const place = vm_id === null ? 'detached' : `attached to VM ${vm_name ?? ''} (${vm_id})${since(attached)}`;
  return `${name}, ${sizeText(size)}, ${place}; ${state}: it ${state_means}`;
}

function rowText({ vm_id, device_path, linux_state, mapped_since, export_status }: Seen<'database'>): string {
  const mapping =
    vm_id === null
      ? 'no mapping'
      : `mapped to ${device_path ?? '?'} of VM ${vm_id}${since(mapped_since)}${linux_state === 'missing' ? '; its disk is missing' : ''}`;
  return `${mapping}; ${export_status === null ? 'no export' : `export ${export_status}`}`;
}

function since(time: string | null): string {
  return time === null ? '' : ` since ${timeText(time)}`;
}
