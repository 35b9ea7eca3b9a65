import { byId, show } from '../dom';
import type { VolumePage } from '../pages/volume-page';
import { showStale } from '../stale';
import { isCurrent } from '../state';
import { contextOf } from './context';
import { historyList } from './history-list';

/** The operations of one volume, newest first. */
export function volumeHistoryView(page: VolumePage): () => void {
  const update = historyList(byId('history-list'), page.live, page.journals, contextOf(page));
  const more = byId('history-more');
  more.addEventListener('click', () => page.showMore());
  return () => {
    const part = page.live.part('operations');
    update(page.operations);
    show(byId('history-empty'), page.operations.length === 0 && isCurrent(part));
    showStale('history', part);
    show(more, page.hasMore);
  };
}
