import { idOfAddress } from './pages/address';
import { VolumePage } from './pages/volume-page';
import { startPage } from './start-page';
import { flowView } from './views/charts';
import { snapshotsView } from './views/snapshots';
import { volumeView } from './views/volume';
import { volumeExportView } from './views/volume-export';
import { volumeHistoryView } from './views/volume-history';

/** /volumes/{id}: everything that is known of one volume, and what can be done with it. */
startPage({
  make: (changed) => new VolumePage(idOfAddress(), changed),
  views: (page) => [
    volumeView(page),
    volumeExportView(page),
    snapshotsView(page),
    flowView(page.live, page.charts, page.id),
    volumeHistoryView(page),
  ],
});
