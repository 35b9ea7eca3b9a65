import { drawing } from './drawing';
import { idOfAddress } from './pages/address';
import { VolumePage } from './pages/volume-page';
import { headerView } from './views/header';
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
  volumeHistoryView(page),
];
draw();
page.live.start();
