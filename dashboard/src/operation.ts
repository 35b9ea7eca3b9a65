import { drawing } from './drawing';
import { idOfAddress } from './pages/address';
import { OperationPage } from './pages/operation-page';
import { headerView } from './views/header';
import { operationView } from './views/operation';
import { tokenView } from './views/token';

/** /operations/{id}: what was asked for, what has happened since, and what can be done about it. */
const { draw, changed } = drawing(() => views);
const page = new OperationPage(idOfAddress(), changed);
const views = [headerView(page.live), tokenView(page.live), operationView(page)];
draw();
page.live.start();
// The elapsed times of a running operation advance between events.
window.setInterval(() => {
  if (page.operation?.completed_at === undefined && !document.hidden) draw();
}, 1_000);
