import type { OperationReply } from '../../../server/http/schemas/operations';
import { byId, setText, show } from '../dom';
import { HISTORY_MAX, HISTORY_PAGE } from '../filter';
import { showStale } from '../stale';
import { isCurrent } from '../state';
import type { Store } from '../store';
import { contextOf } from './context';
import { historyList } from './history-list';

/** Every operation that the filter of the address names, newest first, as the server answers it. */
export function historyView(store: Store): () => void {
  const update: (operations: readonly OperationReply[]) => void = historyList(
    byId('history-list'),
    store.live,
    store.journals,
    contextOf(store),
  );
  bindFilter(store);
  const more = byId('history-more');
  const end = byId('history-end');
  more.addEventListener('click', () => store.showMore());
  return () => {
    const { history, hasMore } = store.state;
    const part = store.live.part('operations');
    update(history);
    show(byId('history-empty'), history.length === 0 && isCurrent(part));
    showStale('history', part);
    const isCut = store.filter.limit >= HISTORY_MAX && history.length >= HISTORY_MAX;
    show(more, hasMore && !isCut);
    show(end, isCut);
    setText(end, `These are the newest ${HISTORY_MAX}: a filter finds older ones.`);
  };
}

function bindFilter(store: Store): void {
  const form = byId('history-filter', HTMLFormElement);
  const inputs = () => [...form.querySelectorAll<HTMLInputElement | HTMLSelectElement>('[name]')];
  const write = (): void => {
    const { type, status, find } = store.filter;
    const values: Readonly<Record<string, string>> = { type, status, find };
    for (const input of inputs()) input.value = values[input.name] ?? '';
  };
  const read = (): void => {
    const entered = Object.fromEntries(inputs().map(({ name, value }) => [name, value]));
    store.setFilter({ ...entered, limit: HISTORY_PAGE });
  };
  form.addEventListener('input', read);
  form.addEventListener('submit', (event) => event.preventDefault());
  window.addEventListener('popstate', write);
  write();
}
