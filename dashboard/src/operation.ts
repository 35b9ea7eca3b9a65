import { idOfAddress } from './pages/address';
import { OperationPage } from './pages/operation-page';
import { startPage } from './start-page';
import { operationView } from './views/operation';

/** /operations/{id}: what was asked for, what has happened since, and what can be done about it. */
startPage({
  make: (changed) => new OperationPage(idOfAddress(), changed),
  views: (page) => [operationView(page)],
  ticks: ({ operation }) => operation?.completed_at === undefined,
});
