import type { Live } from './live';
import { headerView } from './views/header';
import { tokenView } from './views/token';

/** How often elapsed times advance between events. */
const TICK_MS = 1_000;

interface Parts<P> {
  /** Makes what the page shows; it calls `changed` whenever something of that has changed. */
  readonly make: (changed: () => void) => P;
  /** The parts of the page, each of which writes what is known now. */
  readonly views: (page: P) => readonly (() => void)[];
  /** While this holds the page is drawn every second as well. */
  readonly ticks?: (page: P) => boolean;
}

/**
 * What all pages have in common: header, token, drawing at most once per frame, and the link to the daemon.
 */
export function startPage<P extends { readonly live: Live }>({ make, views, ticks }: Parts<P>): void {
  let planned = false;
  const page = make(() => {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      draw();
    });
  });
  const all = [headerView(page.live), tokenView(page.live), ...views(page)];
  const draw = (): void => {
    for (const view of all) view();
  };
  draw();
  page.live.start();
  if (ticks)
    window.setInterval(() => {
      if (ticks(page) && !document.hidden) draw();
    }, TICK_MS);
}
