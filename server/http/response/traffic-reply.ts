import type { ActiveExport, ExportActivity } from '../../exports/export-traffic';
import type { Evidence } from '../../model/evidence';
import { exportTrafficSchema, trafficEventSchema } from '../schemas/traffic';
import { replyOf } from './reply-of';

export function exportTrafficReply({ clients, traffic, progress }: ExportActivity) {
  const flow = traffic.kind === 'seen' ? traffic.value : null;
  return replyOf(exportTrafficSchema, {
    ...progress,
    clients: clients.kind === 'seen' ? clients.value : null,
    bytesRead: flow?.readBytes ?? null,
    bytesWritten: flow?.writtenBytes ?? null,
    readBytesPerSecond: wholeRate(flow?.readRate),
    writtenBytesPerSecond: wholeRate(flow?.writeRate),
    // Reckoned back from the look, so that a clock that was set meanwhile changes nothing.
    lastIoAt: flow?.lastIoAgoMs == null ? null : traffic.at - flow.lastIoAgoMs,
    observedSince: flow && traffic.at - flow.observedForMs,
    unknown: [...new Set([...whyUnknown(clients), ...whyUnknown(traffic)])],
    at: traffic.at,
  });
}

export function trafficEventReply({ record, activity }: ActiveExport) {
  return replyOf(trafficEventSchema, { ...record, traffic: exportTrafficReply(activity) });
}

function wholeRate(rate: number | null | undefined): number | null {
  return rate === null || rate === undefined ? null : Math.round(rate);
}

function whyUnknown(evidence: Evidence<unknown>): string[] {
  if (evidence.kind === 'seen') return [];
  return [evidence.kind === 'unknown' ? evidence.why : evidence.proof];
}
