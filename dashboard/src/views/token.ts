import { token } from '../api';
import { byId, show } from '../dom';
import type { Store } from '../store';

/** Asks for the token when the daemon wants one. It stays in this tab, and goes nowhere but to this daemon. */
export function tokenView(store: Store): () => void {
  const form = byId('token-form');
  const field = byId('token');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!(field instanceof HTMLInputElement) || field.value === '') return;
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
