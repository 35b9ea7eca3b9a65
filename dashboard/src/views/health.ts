import { stateTone } from '../../../cli/output/state-tone';
import type { HealthReply } from '../../../server/http/schemas/service';
import { COMPONENT_NAMES } from '../component-names';
import { byId, element, keyedList, type Row, setAttribute, setText, show } from '../dom';
import { clockTime } from '../format';
import type { Live } from '../live';
import { pill } from './parts';

type Components = HealthReply['details']['components'];
type Component = { readonly name: string } & Components[keyof Components];

/** How urgent a status is: broken things come first. */
const ORDER: Readonly<Record<Component['status'], number>> = {
  unhealthy: 0,
  degraded: 1,
  unknown: 2,
  healthy: 3,
  disabled: 3,
};

/** Each dependency, the reason for its state, and since when it is in it when it is not well. */
export function healthView(live: Live): () => void {
  const update = keyedList<Component>(byId('health-list'), ({ name }) => name, card);
  return () => {
    const components = live.health?.details.components;
    if (!components) return;
    const named = Object.entries(components).map(([name, component]) => ({ name, ...component }));
    update(named.sort((a, b) => ORDER[a.status] - ORDER[b.status]));
  };
}

function card(): Row<Component> {
  const name = element('h3');
  const status = pill();
  const message = element('p', { class: 'reason' });
  const since = element('p', { class: 'quiet' });
  return {
    element: element(
      'li',
      { class: 'card' },
      element('div', { class: 'card-head' }, name, status.element),
      message,
      since,
    ),
    update(component) {
      setAttribute(this.element, 'data-tone', stateTone(component.status));
      setText(name, COMPONENT_NAMES[component.name] ?? component.name);
      status.update(component.status);
      setText(message, component.message);
      setText(since, component.since === undefined ? '' : `since ${clockTime(component.since)}`);
      show(since, ORDER[component.status] < ORDER.healthy && component.since !== undefined);
    },
  };
}
