import type { OperationReply } from '../../../server/http/schemas/operations';
import { mayAct } from '../acts/act';
import { openAct } from '../acts/dialog';
import { actsOf } from '../acts/operation-acts';
import { element, keyedList, type Row, setText, show } from '../dom';
import type { Live } from '../live';

type Offer = ReturnType<typeof actsOf>[number];

/** The buttons for what can be done about an operation now. */
export function operationButtons(live: Live): {
  readonly element: HTMLElement;
  update(operation: OperationReply): void;
} {
  const made = element('div', { class: 'acts' });
  const update = keyedList<Offer>(
    made,
    ({ label }) => label,
    () => offerButton(live),
  );
  return {
    element: made,
    update(operation) {
      const offers = actsOf(operation).filter(({ act }) => mayAct(live.caller, act.role));
      update(offers);
      show(made, offers.length > 0);
    },
  };
}

function offerButton(live: Live): Row<Offer> {
  let latest: Offer | null = null;
  const button = element('button', { type: 'button' });
  button.addEventListener('click', () => {
    if (latest !== null) openAct(latest.act, () => live.refresh());
  });
  return {
    element: button,
    update(offer) {
      latest = offer;
      setText(button, offer.label);
    },
  };
}
