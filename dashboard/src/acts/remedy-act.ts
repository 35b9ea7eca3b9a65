import type { DriftReply, SyncReply } from '../../../server/http/schemas/service';
import { api, change, volumePath } from '../api';
import { shortId } from '../format';
import { type Start, startAll } from './accepted';
import type { Act, KeyOf, Look, Outcome, Values } from './act';
import { whyNotKnown } from './look-at-volume';
import { driftKey, judge, type Remedy, remedyOf } from './remedy';
import { attachRequest, detachRequest } from './volume-acts';

const VERBS: Readonly<Record<Remedy, string>> = {
  'force-sync': 'Repair',
  reattach: 'Detach and attach again',
  delete: 'Delete the volume',
};

const CONSEQUENCES: Readonly<Record<Remedy, readonly string[]>> = {
  'force-sync': [
    'CloudStack, guest, database and exports are compared once more, and what is safe is repaired: rows, links and exports. No volume is attached, detached or deleted.',
  ],
  reattach: [
    'The volume is detached from this appliance and attached again, as two operations that run in this order. The data stays.',
  ],
  delete: ['The volume and everything on it is deleted in CloudStack.'],
};

/**
 * Does what the daemon can do about a drift; null when that is nothing. A dry run comes first, and it is
 * offered only while the drift is still there.
 */
export function remedyAct(drift: DriftReply): Act | null {
  const by = remedyOf(drift);
  if (by === null) return null;
  return {
    title: `Remedy: ${drift.kind.replaceAll('-', ' ')}`,
    verb: VERBS[by],
    role: 'operate',
    consequences: [drift.message, ...CONSEQUENCES[by]],
    look: () => dryRun(drift, by),
    mustType: () => (by === 'delete' ? shortId(drift.volume_id ?? '') : null),
    send: (_: Values, keyOf: KeyOf) => carryOut(drift, by, keyOf),
  };
}

async function dryRun(drift: DriftReply, by: Remedy): Promise<Look> {
  const { report } = await api.dryRun();
  const evidence = by === 'delete' && drift.volume_id !== null ? await api.evidence(drift.volume_id) : null;
  const judged = judge(drift, by, report);
  return { ...judged, unsure: evidence === null ? null : whyNotKnown(evidence) };
}

async function carryOut(drift: DriftReply, by: Remedy, keyOf: KeyOf): Promise<Outcome> {
  const { volume_id: volumeId, vm_id: vmId } = drift;
  if (by === 'force-sync') return synced(drift, keyOf);
  if (volumeId === null) throw new Error('the drift names no volume');
  const starts: readonly Start[] =
    by === 'delete'
      ? [{ name: 'delete', method: 'DELETE', path: volumePath(volumeId), body: {} }]
      : [detachRequest(volumeId), attachRequest(volumeId, vmId ?? '')];
  const { text, operations } = await startAll(starts, keyOf);
  return { text: `${text} The sync after it tells whether the drift is gone.`, operations };
}

async function synced(drift: DriftReply, keyOf: KeyOf): Promise<Outcome> {
  const { report } = await change<SyncReply>('POST', '/api/v1/admin/force-sync', {}, keyOf('sync'));
  const now = report.drifts.find((other) => driftKey(other) === driftKey(drift));
  if (!report.judged) return { text: 'Nothing was compared, and nothing was changed.', operations: [] };
  if (now === undefined) return { text: 'The drift is no longer there.', operations: [] };
  return {
    text: now.action === 'repaired' ? `Repaired: ${now.message}` : `Not repaired: ${now.message}`,
    operations: [],
  };
}
