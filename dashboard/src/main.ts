import { Store } from './store';
import { devicesView } from './views/devices';
import { driftsView } from './views/drifts';
import { headerView } from './views/header';
import { healthView } from './views/health';
import { historyView } from './views/history';
import { operationsView } from './views/operations';
import { syncView } from './views/sync';
import { tokenView } from './views/token';

let planned = false;
const store = new Store(() => {
  if (planned) return;
  planned = true;
  requestAnimationFrame(draw);
});
const views = [
  headerView(store),
  tokenView(store),
  healthView(store),
  operationsView(store),
  devicesView(store),
  driftsView(store),
  historyView(store),
];

function draw(): void {
  planned = false;
  for (const view of views) view();
}

syncView(store);
draw();
store.start();
// The elapsed times of running operations advance between events.
window.setInterval(() => {
  if (store.state.active.length > 0 && !document.hidden) draw();
}, 1_000);
