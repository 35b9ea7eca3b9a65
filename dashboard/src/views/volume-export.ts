import { byteText, rateText } from '../../../cli/output/traffic-text';
import type { ExportReply } from '../../../server/http/schemas/exports';
import type { ExportTrafficReply } from '../../../server/http/schemas/traffic';
import { byId, show } from '../dom';
import { clockTime } from '../format';
import type { VolumePage } from '../pages/volume-page';
import { showNotice } from '../stale';
import { isCurrent, staleText } from '../state';
import { portText } from './devices';
import { facts, pill } from './parts';
import { trafficView } from './traffic';

/** The export of a volume: where it is reached, who is connected, and what flows. */
export function volumeExportView(page: VolumePage): () => void {
  const list = byId('export-list');
  const state = pill();
  byId('export-state').append(state.element);
  const traffic = trafficView();
  list.before(traffic.element);
  let shown: ExportReply | null = null;
  return () => {
    const { exported } = page;
    const part = page.live.part('export');
    show(byId('export-empty'), exported === null && isCurrent(part));
    showNotice('export', staleText(part));
    show(state.element, exported !== null);
    traffic.update(exported?.traffic);
    if (exported !== null) state.update(exported.status);
    if (exported === shown) return;
    shown = exported;
    list.replaceChildren();
    if (exported === null) return;
    list.append(
      facts([
        ['Name', exported.export_name],
        ['Where', portText(exported)],
        ['Made', clockTime(exported.created_at)],
        ['Asked by', exported.metadata.actor],
        ['Request id', exported.metadata.request_id],
        ['Trace', exported.metadata.traceparent],
        ...trafficFacts(exported.traffic),
      ]),
    );
  };
}

function trafficFacts(traffic: ExportTrafficReply | undefined): [string, string][] {
  if (traffic === undefined) return [['Traffic', 'not known']];
  const { clients, bytes_written, bytes_read, last_io_at, observed_since, unknown } = traffic;
  return [
    ['Clients', clients === null ? 'not known' : String(clients)],
    ['Written', byteText(bytes_written)],
    ['Read', byteText(bytes_read)],
    ['Rate', rateText(traffic)],
    ['Last I/O', last_io_at === null ? noIo(observed_since) : clockTime(last_io_at)],
    ...unknown.map((why): [string, string] => ['Not known', why]),
  ];
}

function noIo(observedSince: string | null): string {
  return observedSince === null ? 'not known' : `none since ${clockTime(observedSince)}`;
}
