import { token } from '../api';
import { byId, show } from '../dom';
import type { Store } from '../store';

/** Asks for the token when the daemon requires one. It stays in this tab and is sent to this daemon only. */
export function tokenView(store: Store): () => void {
  const form = byId('token-form');
  const field = byId('token', HTMLInputElement);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (field.value === '') return;
    token.set(field.value);
    field.value = '';
    store.unlock();
  });
  return () => {
    const { needsToken } = store.state;
    const appears = needsToken && form.hidden;
    show(form, needsToken);
    if (appears) field.focus();
  };
}
