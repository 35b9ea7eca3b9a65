import { VolumesPage } from './pages/volumes-page';
import { startPage } from './start-page';
import { volumesView } from './views/volumes';

/** /volumes: every volume that CloudStack shows to the key, filtered by the address. */
startPage({ make: (changed) => new VolumesPage(changed), views: (page) => [volumesView(page)] });
