import { byId, setAttribute, setText, show } from '../dom';
import { clockTime, shortId } from '../format';
import type { Store } from '../store';
import { verdictOf } from '../verdict';

/** The appliance, whether the page is live, and the verdict in one line. */
export function headerView(store: Store): () => void {
  const [appliance, connection, offline] = [byId('appliance'), byId('connection'), byId('offline')];
  const [verdict, word, reason] = [byId('verdict'), byId('verdict-word'), byId('verdict-reason')];
  return () => {
    const { state } = store;
    const { health } = state;
    setText(connection, { live: 'Live', connecting: 'Connecting…', lost: 'Reconnecting…' }[state.connection]);
    setAttribute(connection, 'data-state', state.connection);
    show(offline, state.connection === 'lost' && state.answeredAtMs > 0);
    setText(
      offline,
      `The daemon does not answer. This is how things were at ${clockTime(state.answeredAtMs)}; the page goes on by itself.`,
    );
    if (!health) return;
    const { details } = health;
    const vm = details.appliance.vm_id;
    setText(
      appliance,
      `${vm === null ? 'appliance unknown' : `appliance ${shortId(vm)}`} · v${details.version}`,
    );
    setAttribute(appliance, 'title', vm ?? '');
    const judged = verdictOf(state, health);
    setAttribute(verdict, 'data-tone', judged.tone);
    setText(word, judged.word);
    setText(reason, judged.reasons.join(' '));
  };
}
