import { stateTone } from '../../../cli/output/state-tone';
import type { HealthReply } from '../../../server/http/schemas/service';
import { byId, setAttribute, setText, show } from '../dom';
import { clockTime, plural, shortId } from '../format';
import type { State, Store } from '../store';
import { COMPONENT_NAMES } from './words';

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
    setAttribute(verdict, 'data-tone', stateTone(health.status));
    setText(word, PHASE_WORDS[details.phase] ?? STATUS_WORDS[health.status]);
    setText(reason, reasons(state).join(' '));
  };
}

const PHASE_WORDS: Readonly<Record<HealthReply['details']['phase'], string | null>> = {
  ready: null,
  standby: 'Standing by',
  starting: 'Starting',
  stopping: 'Stopping',
  failed: 'Could not start',
};

const STATUS_WORDS: Readonly<Record<HealthReply['status'], string>> = {
  healthy: 'Everything is in order',
  degraded: 'Needs attention',
  unhealthy: 'Not working',
};

function reasons({ health, active }: State): string[] {
  if (!health) return [];
  const { components, drifts, phase_reason } = health.details;
  const running = active.filter(({ status }) => status === 'executing').length;
  const troubled = Object.entries(components)
    .filter(([, { status }]) => status === 'unhealthy' || status === 'degraded')
    .map(([name]) => COMPONENT_NAMES[name] ?? name);
  return [
    ...(phase_reason ? [`${phase_reason}.`] : []),
    ...(troubled.length > 0 ? [`Look at: ${troubled.join(', ')}.`] : []),
    ...(drifts.length > 0 ? [`${plural(drifts.length, 'drift')} for a person to decide.`] : []),
    active.length === 0 ? 'Nothing is running.' : `${running} running, ${active.length - running} waiting.`,
  ];
}
