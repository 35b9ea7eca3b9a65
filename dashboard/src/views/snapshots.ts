import { sizeText } from '../../../cli/output/units';
import { snapshotPhase } from '../../../server/cloudstack/snapshot-states';
import type { SnapshotReply } from '../../../server/http/schemas/volumes';
import { actButton } from '../acts/buttons';
import { deleteSnapshotAct, revertAct } from '../acts/content-acts';
import { byId, element, type Row, setAttribute, setText, showCount } from '../dom';
import { foldedList } from '../fold';
import { clockTime } from '../format';
import type { VolumePage } from '../pages/volume-page';
import { showStale } from '../stale';
import { isCurrent } from '../state';
import { pill } from './parts';

const PHASES = { ready: 'completed', moving: 'executing', dead: 'failed' } as const;

/** The snapshots of the volume, newest first, and what can be done with each. */
export function snapshotsView(page: VolumePage): () => void {
  const update = foldedList<SnapshotReply>(
    byId('snapshot-list'),
    ({ id }) => id,
    (snapshot) => row(page, snapshot),
  );
  return () => {
    const part = page.live.part('snapshots');
    update(page.snapshots);
    showCount('snapshot', page.snapshots.length, isCurrent(part));
    showStale('snapshot', part);
  };
}

function row(page: VolumePage, first: SnapshotReply): Row<SnapshotReply> {
  let latest = first;
  const { live } = page;
  const name = element('h3');
  const state = pill();
  const about = element('p', { class: 'quiet' });
  const revert = actButton(live, 'Revert to it…', 'operate', () => revertAct(page.target, latest));
  const remove = actButton(live, 'Delete snapshot…', 'operate', () => deleteSnapshotAct(page.target, latest));
  return {
    element: element(
      'li',
      { class: 'card' },
      element('div', { class: 'card-head' }, name, state.element),
      about,
      element('code', {}, first.id),
      element('div', { class: 'acts' }, revert.element, remove.element),
    ),
    update(snapshot) {
      latest = snapshot;
      const phase = snapshotPhase(snapshot.state);
      setAttribute(this.element, 'data-snapshot', snapshot.id);
      setText(name, snapshot.name);
      state.update(PHASES[phase], snapshot.state);
      const made = snapshot.created === null ? 'when is not known' : clockTime(snapshot.created);
      setText(about, `${sizeText(snapshot.size)} · ${made}`);
      revert.update(phase === 'ready' && page.evidence?.cloudstack.kind !== 'absent');
      remove.update(phase !== 'moving');
    },
  };
}
