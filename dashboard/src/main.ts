import { actButton } from './acts/buttons';
import { attachAct, createAct } from './acts/volume-acts';
import { byId } from './dom';
import { startPage } from './start-page';
import { Store } from './store';
import { chartsView } from './views/charts';
import { devicesView } from './views/devices';
import { driftsView } from './views/drifts';
import { healthView } from './views/health';
import { historyView } from './views/history';
import { operationsView } from './views/operations';
import { syncView } from './views/sync';
import { verdictView } from './views/verdict';

/** The first page: the verdict, and everything that it is made of. */
startPage({
  make: (changed) => new Store(changed),
  views: (store) => [
    verdictView(store),
    healthView(store.live),
    operationsView(store),
    devicesView(store),
    driftsView(store.live),
    chartsView(store.live, store.charts),
    historyView(store),
    syncView(store.live),
    buttonsView(store),
  ],
  ticks: ({ state }) => state.active.length > 0,
});

function buttonsView({ live }: Store): () => void {
  const applianceId = (): string => live.health?.details.appliance.vm_id ?? '';
  const create = actButton(live, 'Create a volume…', 'operate', createAct);
  const attach = actButton(live, 'Attach a volume…', 'operate', () => attachAct(null, applianceId()));
  byId('device-acts').append(create.element, attach.element);
  return () => {
    create.update();
    attach.update(applianceId() !== '');
  };
}
