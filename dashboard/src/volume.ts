import { drawing } from './drawing';
import { idOfAddress } from './pages/address';
import { VolumePage } from './pages/volume-page';
import { flowView } from './views/charts';
import { headerView } from './views/header';
import { snapshotsView } from './views/snapshots';
import { tokenView } from './views/token';
import { volumeView } from './views/volume';
import { volumeExportView } from './views/volume-export';
import { volumeHistoryView } from './views/volume-history';

/** /volumes/{id}: everything that is known of one volume, and what can be done with it. */
const { draw, changed } = drawing(() => views);
const page = new VolumePage(idOfAddress(), changed);
const views = [
  headerView(page.live),
  tokenView(page.live),
  volumeView(page),
  volumeExportView(page),
  snapshotsView(page),
  flowView(page.live, page.charts, page.id),
  volumeHistoryView(page),
];
draw();
page.live.start();
