import type { DriftReply } from '../../../server/http/schemas/service';
import { byId, element, keyedList, type Row, setText, show, showCount } from '../dom';
import { shortId } from '../format';
import type { Store } from '../store';
import { pill } from './parts';

/** Differences between CloudStack, guest, database and exports that the daemon leaves to a person. */
export function driftsView(store: Store): () => void {
  const update = driftList(byId('drift-list'));
  return () => {
    const drifts = store.state.health?.details.drifts ?? [];
    update(drifts);
    showCount('drift', drifts.length, store.state.health !== null);
  };
}

/** The list of drifts, also for the result of a sync. */
export function driftList(parent: HTMLElement): (drifts: readonly DriftReply[]) => void {
  return keyedList<DriftReply>(
    parent,
    ({ kind, volume_id, vm_id, device_path }) => [kind, volume_id, vm_id, device_path].join(' '),
    row,
  );
}

function row(): Row<DriftReply> {
  const kind = element('h3');
  const action = pill();
  const about = element('code');
  const message = element('p', { class: 'reason' });
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
    ),
    update(drift) {
      setText(kind, drift.kind.replaceAll('-', ' '));
      action.update(drift.action, drift.action === 'reported' ? 'for you' : drift.action);
      setText(message, drift.message);
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
