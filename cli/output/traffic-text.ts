import type { ExportTrafficReply } from '../../server/http/schemas/traffic';
import { durationText, sizeText } from './units';

/** What flows through an export, for people, in volumectl and in the dashboard. Unknown stays unknown. */
const UNKNOWN = 'unknown';

export function byteText(bytes: number | null): string {
  return bytes === null ? UNKNOWN : sizeText(bytes);
}

/** `1.5 GiB of 3 GiB (50 %)`. 100 % is said only of all of it. */
export function writtenText({ bytes_written, expected_bytes, share_written }: ExportTrafficReply): string {
  if (bytes_written === null) return UNKNOWN;
  if (expected_bytes === null || share_written === null) return sizeText(bytes_written);
  return `${sizeText(bytes_written)} of ${sizeText(expected_bytes)} (${Math.floor(share_written * 100)} %)`;
}

/** `104 MiB/s written`, what flows more of first; `idle` when nothing flows. */
export function rateText(traffic: ExportTrafficReply): string {
  const { read_bytes_per_second: read, written_bytes_per_second: written } = traffic;
  if (read === null || written === null) return UNKNOWN;
  const flows = [
    { rate: written, what: 'written' },
    { rate: read, what: 'read' },
  ].filter(({ rate }) => rate > 0);
  if (flows.length === 0) return 'idle';
  return flows
    .sort((a, b) => b.rate - a.rate)
    .map(({ rate, what }) => `${sizeText(rate)}/s ${what}`)
    .join(', ');
}

/** `12 min 30 s`; empty when nothing is being written, or all is. */
export function leftText({ seconds_left }: ExportTrafficReply): string {
  return seconds_left === null ? '' : durationText(seconds_left * 1000);
}
