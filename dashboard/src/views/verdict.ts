import { byId, setAttribute, setText } from '../dom';
import { FAILURES_MAX, type Store } from '../store';
import { verdictOf } from '../verdict';

export function verdictView(store: Store): () => void {
  const [verdict, word, reason] = [byId('verdict'), byId('verdict-word'), byId('verdict-reason')];
  const { live } = store;
  return () => {
    const judged = verdictOf({
      ...store.state,
      connection: live.connection,
      lostSinceMs: live.lostSinceMs,
      health: live.health,
      manyFailures: store.state.failures.length === FAILURES_MAX,
      parts: {
        health: live.part('health'),
        operations: live.part('operations'),
        failures: live.part('failures'),
        resources: live.part('resources'),
      },
    });
    setAttribute(verdict, 'data-tone', judged.tone);
    setText(word, judged.word);
    setText(reason, judged.reasons.join(' '));
  };
}
