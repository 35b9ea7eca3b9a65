import { actButton } from './acts/buttons';
import { attachAct, createAct } from './acts/volume-acts';
import { byId } from './dom';
import { drawing } from './drawing';
import { Store } from './store';
import { chartsView } from './views/charts';
import { devicesView } from './views/devices';
import { driftsView } from './views/drifts';
import { headerView } from './views/header';
import { healthView } from './views/health';
import { historyView } from './views/history';
import { operationsView } from './views/operations';
import { syncView } from './views/sync';
import { tokenView } from './views/token';
import { verdictView } from './views/verdict';

/** The first page: the verdict, and everything that it is made of. */
const { draw, changed } = drawing(() => views);
const store = new Store(changed);
const { live } = store;
const applianceId = (): string => live.health?.details.appliance.vm_id ?? '';
const create = actButton(live, 'Create a volume…', 'operate', createAct);
const attach = actButton(live, 'Attach a volume…', 'operate', () => attachAct(null, applianceId()));
byId('device-acts').append(create.element, attach.element);
const views = [
  headerView(live),
  tokenView(live),
  verdictView(store),
  healthView(live),
  operationsView(store),
  devicesView(store),
  driftsView(live),
  chartsView(live, store.charts),
  historyView(store),
  syncView(live),
  () => create.update(),
  () => attach.update(applianceId() !== ''),
];

draw();
live.start();
// The elapsed times of running operations advance between events.
window.setInterval(() => {
  if (store.state.active.length > 0 && !document.hidden) draw();
}, 1_000);
