import { mayAct } from '../acts/act';
import { byId, setAttribute, setText, show } from '../dom';
import { clockTime, shortId } from '../format';
import type { Live } from '../live';

/** The appliance, who the page acts for, and whether it is live. The same on every page. */
export function headerView(live: Live): () => void {
  const [appliance, caller, connection, offline] = [
    byId('appliance'),
    byId('caller'),
    byId('connection'),
    byId('offline'),
  ];
  return () => {
    setText(connection, { live: 'Live', connecting: 'Connecting…', lost: 'Reconnecting…' }[live.connection]);
    setAttribute(connection, 'data-state', live.connection);
    show(offline, live.connection === 'lost' && live.answeredAtMs > 0);
    setText(
      offline,
      `The daemon does not answer. This is how things were at ${clockTime(live.answeredAtMs)}; the page goes on by itself.`,
    );
    setText(caller, callerText(live));
    if (!live.health) return;
    const { details } = live.health;
    const vm = details.appliance.vm_id;
    setText(
      appliance,
      `${vm === null ? 'appliance unknown' : `appliance ${shortId(vm)}`} · v${details.version}`,
    );
    setAttribute(appliance, 'title', vm ?? '');
  };
}

function callerText({ caller }: Live): string {
  if (caller === null || caller.name === 'anonymous') return '';
  if (mayAct(caller, 'operate')) return `${caller.name} (${caller.role})`;
  return `${caller.name} (${caller.role}): this token may look, and change nothing`;
}
