import type { DriftReply } from '../../../server/http/schemas/service';
import { byId, element, keyedList, type Row, setText, show, showCount } from '../dom';
import { clockTime, shortId } from '../format';
import { showNotice } from '../stale';
import { isCurrent, staleText } from '../state';
import type { Store } from '../store';
import { evidenceDetails } from './evidence';
import { pill } from './parts';

/** Differences between CloudStack, guest, database and exports that the daemon leaves to a person. */
export function driftsView(store: Store): () => void {
  const update = driftList(byId('drift-list'));
  return () => {
    const { health, parts } = store.state;
    const drifts = health?.details.drifts ?? [];
    const sync = health?.details.components.sync;
    update(drifts);
    showCount('drift', drifts.length, isCurrent(parts.health) && sync?.status === 'healthy');
    const unjudged = sync && sync.status !== 'healthy' ? `${sync.message}.` : '';
    showNotice('drift', staleText(parts.health) || unjudged);
  };
}

/** The list of drifts, also for the result of a sync. */
export function driftList(parent: HTMLElement): (drifts: readonly DriftReply[]) => void {
  return keyedList<DriftReply>(
    parent,
    ({ kind, volume_id, vm_id, device_path }) => [kind, volume_id, vm_id, device_path].join(' '),
    ({ volume_id }) => row(volume_id),
  );
}

function row(volumeId: string | null): Row<DriftReply> {
  const kind = element('h3');
  const action = pill();
  const about = element('code');
  const message = element('p', { class: 'reason' });
  const evidence = volumeId === null ? null : evidenceDetails(volumeId);
  const remedy = element('ul', { class: 'remedy' });
  const ways = keyedList<string>(
    remedy,
    (way) => way,
    (way) => ({ element: element('li', {}, way), update: () => {} }),
  );
  return {
    element: element(
      'li',
      { class: 'card drift' },
      element('div', { class: 'card-head' }, kind, action.element),
      message,
      about,
      remedy,
      ...(evidence ? [evidence.element] : []),
    ),
    update(drift) {
      setText(kind, drift.kind.replaceAll('-', ' '));
      action.update(drift.action, drift.action === 'reported' ? 'for you' : drift.action);
      const { not_judged_since: since } = drift;
      setText(
        message,
        since === null ? drift.message : `${drift.message} (not judged since ${clockTime(since)})`,
      );
      evidence?.update();
      setText(
        about,
        [
          drift.device_path,
          drift.volume_id && `volume ${drift.volume_id}`,
          drift.vm_id && `VM ${shortId(drift.vm_id)}`,
        ]
          .filter(Boolean)
          .join(' · '),
      );
      // The daemon separates the remedies by semicolons.
      ways([...new Set(drift.remedy.split('; ').filter((way) => way !== ''))]);
      show(remedy, drift.remedy !== '');
    },
  };
}
