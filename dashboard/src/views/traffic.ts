import { leftText, rateText, writtenText } from '../../../cli/output/traffic-text';
import type { ExportTrafficReply } from '../../../server/http/schemas/traffic';
import { element, setAttribute, setText, show } from '../dom';
import { clockTime, plural } from '../format';

/**
 * What flows through an export: a bar with the share written, the rate and the time left, and who is
 * connected.
 */
export function trafficView(): {
  readonly element: HTMLElement;
  update(traffic: ExportTrafficReply | undefined): void;
} {
  const bar = element('progress', { class: 'written', max: '1', 'aria-label': 'Share written' });
  const written = element('span');
  const flow = element('span', { class: 'quiet' });
  const clients = element('span', { class: 'quiet' });
  const made = element(
    'div',
    { class: 'traffic' },
    bar,
    element('p', {}, written, ' ', flow),
    element('p', {}, clients),
  );
  return {
    element: made,
    update(traffic) {
      show(made, traffic !== undefined);
      if (traffic === undefined) return;
      // Without a value the bar would show that something is going on.
      show(bar, traffic.share_written !== null);
      setAttribute(bar, 'value', String(traffic.share_written ?? 0));
      setText(written, traffic.bytes_written === null ? 'Written: not known' : writtenText(traffic));
      setText(flow, flowText(traffic));
      setText(clients, clientsText(traffic));
      setAttribute(made, 'title', traffic.unknown.join('; '));
    },
  };
}

function flowText(traffic: ExportTrafficReply): string {
  const left = leftText(traffic);
  return [traffic.bytes_written === null ? '' : rateText(traffic), left === '' ? '' : `${left} left`]
    .filter((text) => text !== '')
    .join(' · ');
}

function clientsText({ clients, last_io_at, unknown }: ExportTrafficReply): string {
  const who =
    clients === null ? 'clients not known' : clients === 0 ? 'no client' : plural(clients, 'client');
  const last = last_io_at === null ? '' : `last I/O ${clockTime(last_io_at)}`;
  return [who, last, ...unknown].filter((text) => text !== '').join(' · ');
}
