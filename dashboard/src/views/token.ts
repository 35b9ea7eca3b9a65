import { token } from '../api';
import { byId, show } from '../dom';
import type { Live } from '../live';

/** Asks for the token when the daemon requires one. It stays in this tab and is sent to this daemon only. */
export function tokenView(live: Live): () => void {
  const form = byId('token-form');
  const field = byId('token', HTMLInputElement);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (field.value === '') return;
    token.set(field.value);
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
