import type { DriftReply, SyncReply } from '../../../server/http/schemas/service';
import { plural } from '../format';
import type { Look } from './act';

export type Remedy = NonNullable<DriftReply['remedy_by']>;

/** The same drift in another report: where its disk was may have changed, and its words. */
export function driftKey({ kind, volume_id, device_path, message }: DriftReply): string {
  return `${kind} ${volume_id ?? device_path ?? message}`;
}

/** What of the remedy the daemon can do; null: nothing. */
export function remedyOf({ remedy_by, volume_id }: DriftReply): Remedy | null {
  return remedy_by !== 'force-sync' && volume_id === null ? null : remedy_by;
}

/** What a dry run says of the remedy of this drift. */
export function judge(drift: DriftReply, by: Remedy, report: SyncReply['report']): Look {
  const now = report.drifts.find((other) => driftKey(other) === driftKey(drift));
  if (!report.judged)
    return {
      found: [],
      blocked: `Not known whether it is still so: ${report.unavailable.join(', ') || 'nothing was compared'}.`,
    };
  if (now === undefined)
    return { found: ['Dry run: the drift is no longer there.'], blocked: 'There is nothing to do.' };
  if (now.not_judged_since !== null || now.remedy_by !== by)
    return { found: [], blocked: `Dry run: it is not as it was: ${now.message}. ${now.remedy}` };
  if (by !== 'force-sync') return { found: [`Dry run: it is still so: ${now.message}`], blocked: null };
  const planned = report.drifts.filter(({ action }) => action === 'planned');
  const others = planned.filter((other) => driftKey(other) !== driftKey(drift));
  return {
    found: [
      `Dry run: ${plural(planned.length, 'drift')} would be repaired. Nothing has been changed.`,
      ...others.map(({ kind, message }) => `Also repaired: ${kind.replaceAll('-', ' ')}: ${message}`),
    ],
    blocked: now.action === 'planned' ? null : 'This one would not be repaired.',
  };
}
