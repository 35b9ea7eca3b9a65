import type { Reply } from '../client/operations';
import { type WitnessText, witnessTexts } from '../evidence-text';
import { EXIT } from '../exit';
import type { Output } from '../output/output';
import { type Tone, timeText, visible, wrap } from '../output/text';

const WIDTH_COLUMNS = 80;
const TONES: Readonly<Record<WitnessText['kind'], Tone>> = { seen: 'good', absent: 'plain', unknown: 'warn' };

/** Prints what each witness says, and what to do about what none can say. Returns the exit code. */
export function explainVolume(out: Output, evidence: Reply<'readVolumeEvidence'>): number {
  const witnesses = witnessTexts(evidence);
  const unknown = witnesses.filter(({ kind }) => kind === 'unknown');
  const code = unknown.length === 0 ? EXIT.OK : EXIT.NOT_KNOWN;
  if (out.isData) {
    out.data(evidence);
    return code;
  }
  out.say(`Volume ${evidence.volume_id}, as of ${timeText(evidence.cloudstack.at)}`, 'bold');
  for (const { witness, kind, text, unknownSince, remedy } of witnesses) {
    out.say('');
    out.say(
      `${witness}: ${kind}${unknownSince === null ? '' : ` since ${timeText(unknownSince)}`}`,
      TONES[kind],
    );
    for (const line of wrapped(visible(text))) out.say(line);
    if (remedy !== '') for (const line of wrapped(`to find out: ${remedy}`)) out.say(line);
  }
  const last = evidence.last_operation;
  out.say('');
  out.say(`Last operation: ${last ? `${last.type} ${last.status}, ${last.id}` : 'none is known'}`);
  if (unknown.length > 0) {
    const names = unknown.map(({ witness }) => witness).join(', ');
    out.complain(`Not known: ${names}. Nothing is concluded from that, and nothing is changed.`, 'warn');
  }
  return code;
}

function wrapped(text: string): string[] {
  return wrap(text, WIDTH_COLUMNS - 2).map((line) => `  ${line}`);
}
