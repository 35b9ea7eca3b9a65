import { stateOf } from '../../../server/cloudstack/volume-states';
import { actButton } from '../acts/buttons';
import { resizeAct, snapshotAct } from '../acts/content-acts';
import { exportOffAct, exportOnAct } from '../acts/export-acts';
import { snapshotGroupAct } from '../acts/snapshot-group-act';
import { attachAct, called, deleteAct, detachAct, recoverAct } from '../acts/volume-acts';
import { byId, setText, show, visible } from '../dom';
import { clockTime } from '../format';
import type { VolumePage } from '../pages/volume-page';
import { showNotice } from '../stale';
import { staleText } from '../state';
import { driftList } from './drifts';
import { witnessList } from './evidence';

/** What the volume is called, what can be done with it, its drifts, and what each witness says of it. */
export function volumeView(page: VolumePage): () => void {
  const [title, id, asOf] = [byId('volume-title'), byId('volume-id'), byId('witness-as-of')];
  const acts = volumeButtons(page);
  const witnesses = witnessList();
  byId('witness-list').append(witnesses.element);
  const drifts = driftList(byId('drift-list'), page.live);
  setText(id, page.id);
  return () => {
    const { evidence } = page;
    const name = called(page.target);
    setText(title, name.replace(/^v/, 'V'));
    if (page.target.name !== '') setText(title, page.target.name);
    document.title = visible(`${page.target.name || name}: volume daemon`);
    acts();
    drifts(page.drifts);
    show(byId('drift-section'), page.drifts.length > 0);
    showNotice('witness', staleText(page.live.part('volume')));
    if (evidence === null) return;
    witnesses.update(evidence);
    setText(asOf, `as of ${clockTime(evidence.cloudstack.at)}`);
  };
}

/**
 * What is offered follows from what is known; what is not known forbids nothing here: the dialogs look again.
 */
function volumeButtons(page: VolumePage): () => void {
  const { live } = page;
  const applianceId = (): string | null => live.health?.details.appliance.vm_id ?? null;
  const attach = actButton(live, 'Attach…', 'operate', () => {
    const vmId = applianceId();
    return vmId === null ? null : attachAct(page.target, vmId);
  });
  const publish = actButton(live, 'Export…', 'operate', () => exportOnAct(page.target));
  const withdraw = actButton(live, 'Withdraw export…', 'operate', () => exportOffAct(page.target));
  const resize = actButton(live, 'Resize…', 'operate', () => resizeAct(page.target));
  const snapshot = actButton(live, 'Take a snapshot…', 'operate', () => snapshotAct(page.target));
  const group = actButton(live, 'Take snapshots of its VM…', 'operate', () => {
    const vmId = page.evidence?.cloudstack.value?.vm_id ?? null;
    return vmId === null ? null : snapshotGroupAct(vmId);
  });
  const recover = actButton(live, 'Recover…', 'operate', () => recoverAct(page.target));
  const detach = actButton(live, 'Detach…', 'operate', () => detachAct(page.target));
  const remove = actButton(live, 'Delete…', 'operate', () => deleteAct(page.target));
  byId('volume-acts').append(
    ...[recover, attach, publish, withdraw, resize, snapshot, group, detach, remove].map(
      ({ element }) => element,
    ),
  );
  return () => {
    const { evidence, exported } = page;
    const cloud = evidence?.cloudstack;
    const isKnown = cloud !== undefined;
    const attachedTo = cloud?.value?.vm_id ?? null;
    const state = cloud?.value?.state ?? null;
    const isHere = attachedTo !== null && attachedTo === applianceId();
    recover.update(state !== null && stateOf({ state }).recover === 'act');
    attach.update(isKnown && cloud.kind !== 'absent' && attachedTo === null && applianceId() !== null);
    detach.update(isKnown && cloud.kind !== 'absent' && (cloud.kind === 'unknown' || attachedTo !== null));
    publish.update(isHere && exported?.status !== 'active');
    withdraw.update(exported !== null);
    resize.update(isKnown && cloud.kind !== 'absent');
    snapshot.update(isKnown && cloud.kind !== 'absent');
    group.update(attachedTo !== null);
    remove.update(isKnown && cloud.kind !== 'absent');
  };
}
