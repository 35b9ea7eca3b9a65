import { drawing } from './drawing';
import { VolumesPage } from './pages/volumes-page';
import { headerView } from './views/header';
import { tokenView } from './views/token';
import { volumesView } from './views/volumes';

/** /volumes: every volume that CloudStack shows to the key, filtered by the address. */
const { draw, changed } = drawing(() => views);
const page = new VolumesPage(changed);
const views = [headerView(page.live), tokenView(page.live), volumesView(page)];
draw();
page.live.start();
