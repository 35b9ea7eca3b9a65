import { type WitnessText, witnessTexts } from '../../../cli/evidence-text';
import type { VolumeEvidenceReply } from '../../../server/http/schemas/volumes';
import { api } from '../api';
import { element, keyedList, type Row, setText, show } from '../dom';
import { clockTime } from '../format';
import { pill } from './parts';

/** While it is open, what is known is asked for again after this time. */
const AGAIN_MS = 15_000;

/** What CloudStack, guest, database and export server say of a volume, each for itself. */
export function witnessList(): {
  readonly element: HTMLElement;
  update(evidence: VolumeEvidenceReply): void;
} {
  const list = element('ul', { class: 'witnesses' });
  const render = keyedList<WitnessText>(list, ({ witness }) => witness, witnessRow);
  return { element: list, update: (evidence) => render(witnessTexts(evidence)) };
}

/** The same, asked for when it is opened: CloudStack is not asked for what nobody reads. */
export function evidenceDetails(volumeId: string): { readonly element: HTMLElement; update(): void } {
  const status = element('p', { class: 'quiet', role: 'status' });
  const list = witnessList();
  const details = element(
    'details',
    { class: 'evidence' },
    element('summary', {}, 'What is known of it'),
    status,
    list.element,
  );
  let askedAtMs = 0;
  const ask = async (): Promise<void> => {
    askedAtMs = Date.now();
    if (status.textContent === '') setText(status, 'Asking…');
    try {
      const evidence = await api.evidence(volumeId);
      list.update(evidence);
      setText(status, `As of ${clockTime(evidence.cloudstack.at)}`);
      list.element.removeAttribute('data-stale');
    } catch {
      setText(status, 'The daemon does not answer: what is shown is old.');
      list.element.setAttribute('data-stale', '');
    }
  };
  details.addEventListener('toggle', () => {
    if (details.open) void ask();
  });
  return {
    element: details,
    update() {
      if (details.open && Date.now() - askedAtMs > AGAIN_MS) void ask();
    },
  };
}

function witnessRow(): Row<WitnessText> {
  const name = element('strong');
  const kind = pill();
  const since = element('span', { class: 'quiet' });
  const text = element('p', { class: 'reason' });
  const remedy = element('p', { class: 'quiet' });
  return {
    element: element('li', {}, element('p', {}, name, ' ', kind.element, ' ', since), text, remedy),
    update(one) {
      setText(name, one.witness);
      kind.update(one.kind === 'seen' ? 'found' : one.kind, one.kind);
      setText(since, one.unknownSince === null ? '' : `since ${clockTime(one.unknownSince)}`);
      setText(text, one.text);
      setText(remedy, `To find out: ${one.remedy}`);
      show(remedy, one.remedy !== '');
    },
  };
}
