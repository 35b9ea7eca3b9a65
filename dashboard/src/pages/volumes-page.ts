import type { EventSourceMessage } from 'eventsource-parser';
import type { JournalEntryReply } from '../../../server/http/schemas/operations';
import { api, type VolumeListPage } from '../api';
import { Live } from '../live';
import {
  VOLUMES_PAGE_ROWS,
  type VolumeFilter,
  volumeFilterOf,
  volumeQueryOf,
  volumesAddress,
} from '../volume-filter';

const INTERVAL_MS = 30_000;

/**
 * What the page of all volumes shows: one page of the list, as the server answers the filter of the address.
 */
export class VolumesPage {
  filter: VolumeFilter = volumeFilterOf(location.search);
  list: VolumeListPage | null = null;
  readonly live: Live;

  constructor(changed: () => void) {
    this.live = new Live({
      readers: { volumes: { everyMs: INTERVAL_MS, read: () => this.readVolumes() } },
      onEvent: (event) => this.eventReceived(event),
      changed,
    });
    window.addEventListener('popstate', () => {
      this.filter = volumeFilterOf(location.search);
      this.live.invalidate('volumes');
      changed();
    });
  }

  /** Another filter begins at its first page. */
  setFilter(change: Partial<VolumeFilter>): void {
    this.filter = { ...this.filter, ...change, cursor: '' };
    history.replaceState(null, '', volumesAddress(this.filter));
    this.live.invalidate('volumes');
  }

  private eventReceived({ event, data }: EventSourceMessage): void {
    if (event !== 'operation') return;
    const { state }: JournalEntryReply = JSON.parse(data);
    if (state === 'completed' || state === 'failed') this.live.invalidate('volumes');
  }

  private async readVolumes(): Promise<void> {
    const asked = this.filter;
    const query = volumeQueryOf(asked);
    query.set('limit', String(VOLUMES_PAGE_ROWS));
    const list = await api.volumes(query);
    // Meanwhile something else may be asked for: that answer comes by itself.
    if (asked === this.filter) this.list = list;
  }
}
