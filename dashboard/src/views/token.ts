import { token } from '../api';
import { byId, show } from '../dom';
import type { Live } from '../live';

/** Asks for the token when the daemon requires one. It stays in this tab and is sent to this daemon only. */
export function tokenView(live: Live): () => void {
  const form = byId('token-form');
  const field = byId('token', HTMLInputElement);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    // The pattern of the field lets through only what can stand in a header: with anything else no
    // request could be made.
    const given = field.value.trim();
    if (given === '') return;
    token.set(given);
    field.value = '';
    live.unlock();
  });
  return () => {
    const { needsToken } = live;
    const appears = needsToken && form.hidden;
    show(form, needsToken);
    if (appears) field.focus();
  };
}
