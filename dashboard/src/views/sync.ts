import { ApiError } from '../../../cli/client/errors';
import type { SyncReply } from '../../../server/http/schemas/service';
import { mayAct, newKey } from '../acts/act';
import { api, change } from '../api';
import { byId, setText, show } from '../dom';
import { plural } from '../format';
import type { Live } from '../live';
import { driftList } from './drifts';

/** Force sync: always a dry run first. Repairing what it found takes a second click. */
export function syncView(live: Live): () => void {
  const dialog = byId('sync-dialog', HTMLDialogElement);
  const confirm = byId('sync-confirm', HTMLButtonElement);
  const [title, summary] = [byId('sync-title'), byId('sync-summary')];
  const list = driftList(byId('sync-list'));
  /** Counts runs and closings, so that the answer of an abandoned run is ignored. */
  let currentRun = 0;
  let key = newKey();

  const run = async (dryRun: boolean): Promise<void> => {
    const ownRun = ++currentRun;
    const busy = dryRun ? 'Comparing CloudStack, guest, database and exports…' : 'Repairing…';
    confirm.disabled = true;
    setText(summary, busy);
    try {
      const reply = await (dryRun ? api.dryRun() : repair(key));
      if (ownRun === currentRun) showReport(reply, dryRun);
    } catch (error) {
      if (ownRun === currentRun) setText(summary, errorText(error));
    }
    live.refresh();
  };

  const showReport = ({ report }: SyncReply, dryRun: boolean): void => {
    const count = (action: string): number => report.drifts.filter((drift) => drift.action === action).length;
    const planned = count('planned');
    list(report.drifts);
    setText(title, titleOf(report, dryRun));
    setText(
      summary,
      [found(report, count, dryRun), unread(report), skipped(report)].filter(Boolean).join(' '),
    );
    setText(confirm, `Repair ${plural(planned, 'drift')}`);
    show(confirm, dryRun && planned > 0);
    confirm.disabled = false;
  };

  const opener = byId('sync-open');
  opener.addEventListener('click', () => {
    key = newKey();
    list([]);
    setText(title, 'Dry run');
    show(confirm, false);
    dialog.showModal();
    void run(true);
  });
  confirm.addEventListener('click', () => void run(false));
  byId('sync-close').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => {
    currentRun += 1;
  });
  return () => show(opener, mayAct(live.caller, 'operate'));
}

function repair(key: string): Promise<SyncReply> {
  return change<SyncReply>('POST', '/api/v1/admin/force-sync', {}, key);
}

/** "Synchronized" only when everything was looked at and nothing is left to do. */
function titleOf({ judged, unavailable, drifts }: SyncReply['report'], dryRun: boolean): string {
  if (!judged) return 'Not judged';
  if (dryRun) return 'Dry run';
  const left = drifts.filter(({ action }) => action !== 'repaired').length;
  return left === 0 && unavailable.length === 0 ? 'Synchronized' : 'Synchronized, with something left';
}

function found(
  { judged, unavailable, drifts, skipped_volumes }: SyncReply['report'],
  count: (action: string) => number,
  dryRun: boolean,
): string {
  if (!judged) {
    const known = drifts.length === 0 ? '' : ` ${plural(drifts.length, 'drift')} known from before.`;
    return `Nothing was compared, and nothing was changed.${known}`;
  }
  const [planned, repaired, reported, failed] = ['planned', 'repaired', 'reported', 'failed'].map(count);
  const parts = [
    planned ? `${plural(planned, 'drift')} can be repaired` : '',
    repaired ? `${plural(repaired, 'drift')} repaired` : '',
    reported ? `${reported} left to you` : '',
    failed ? `${failed} could not be repaired` : '',
  ].filter(Boolean);
  if (parts.length === 0)
    return unavailable.length === 0 && skipped_volumes === 0
      ? 'No drift: all four agree.'
      : 'No drift in what was compared.';
  return `${parts.join(', ')}.${dryRun ? ' Nothing has been changed.' : ''}`;
}

function unread({ unavailable }: SyncReply['report']): string {
  return unavailable.length === 0
    ? ''
    : `Not judged, because it could not be read: ${unavailable.join(', ')}.`;
}

function skipped({ skipped_volumes }: SyncReply['report']): string {
  return skipped_volumes === 0
    ? ''
    : `${plural(skipped_volumes, 'volume')} left alone: an operation is in flight.`;
}

function errorText(error: unknown): string {
  if (error instanceof ApiError) return `${error.problem.code}: ${error.message}. ${error.problem.fix}`;
  return 'The daemon does not answer. Try again in a moment.';
}
