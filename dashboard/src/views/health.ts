import { stateTone } from '../../../cli/output/state-tone';
import type { HealthReply } from '../../../server/http/schemas/service';
import { COMPONENT_NAMES } from '../component-names';
import { byId, element, keyedList, type Row, setAttribute, setText } from '../dom';
import type { Store } from '../store';
import { pill } from './parts';

type Components = HealthReply['details']['components'];
type Component = { readonly name: string } & Components[keyof Components];

/** Each dependency and the reason for its state. */
export function healthView(store: Store): () => void {
  const update = keyedList<Component>(byId('health-list'), ({ name }) => name, card);
  return () => {
    const components = store.state.health?.details.components;
    if (components) update(Object.entries(components).map(([name, component]) => ({ name, ...component })));
  };
}

function card(): Row<Component> {
  const name = element('h3');
  const status = pill();
  const message = element('p', { class: 'reason' });
  return {
    element: element(
      'li',
      { class: 'card' },
      element('div', { class: 'card-head' }, name, status.element),
      message,
    ),
    update(component) {
      setAttribute(this.element, 'data-tone', stateTone(component.status));
      setText(name, COMPONENT_NAMES[component.name] ?? component.name);
      status.update(component.status);
      setText(message, component.message);
    },
  };
}
