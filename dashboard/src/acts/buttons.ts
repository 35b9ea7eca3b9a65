import { element, show } from '../dom';
import type { Live } from '../live';
import { type Act, mayAct, type Role } from './act';
import { openAct } from './dialog';

export interface ActButton {
  readonly element: HTMLButtonElement;
  /** Shows it only to whom the daemon would let do it. */
  update(offered?: boolean): void;
}

export function actButton(live: Live, label: string, role: Role, actNow: () => Act | null): ActButton {
  const made = element('button', { type: 'button' }, label);
  made.addEventListener('click', () => {
    const act = actNow();
    if (act !== null) openAct(act, () => live.refresh());
  });
  return { element: made, update: (offered = true) => show(made, offered && mayAct(live.caller, role)) };
}
