import { stateTone } from '../../cli/output/state-tone';
import type { HealthReply } from '../../server/http/schemas/service';
import { COMPONENT_NAMES } from './component-names';
import { plural } from './format';
import { isCurrent, type State, staleText } from './state';

/** The title of the page, its tone, and the sentences after it. */
export interface Verdict {
  readonly word: string;
  readonly tone: string;
  readonly reasons: readonly string[];
}

type Shown = Pick<State, 'connection' | 'parts' | 'devices' | 'exports' | 'active'>;

/**
 * Made of everything that the page shows: it never says that all is in order above a row that is not, nor about what cannot be read
 * now.
 */
export function verdictOf(state: Shown, health: HealthReply): Verdict {
  const reasons = [...healthReasons(health), ...rowReasons(state), activityOf(state)].filter(Boolean);
  if (state.connection === 'lost' || state.parts.health.failed !== null)
    return { word: 'Not known', tone: 'warn', reasons: [staleText(state.parts.health)].filter(Boolean) };
  const phase = PHASE_WORDS[health.details.phase];
  if (phase !== null) return { word: phase, tone: stateTone(health.status), reasons };
  const status = health.status === 'healthy' && rowReasons(state).length > 0 ? 'degraded' : health.status;
  return { word: STATUS_WORDS[status], tone: stateTone(status), reasons };
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

function healthReasons({ details }: HealthReply): string[] {
  const { components, drifts, held, phase_reason } = details;
  const troubled = Object.entries(components)
    .filter(([, { status }]) => status === 'unhealthy' || status === 'degraded')
    .map(([name]) => COMPONENT_NAMES[name] ?? name);
  return [
    ...(phase_reason ? [`${phase_reason}.`] : []),
    ...(troubled.length > 0 ? [`Look at: ${troubled.join(', ')}.`] : []),
    ...(held.length > 0
      ? [`${plural(held.length, 'operation')} held: retry or abandon (volumectl operation).`]
      : []),
    ...(drifts.length > 0 ? [`${plural(drifts.length, 'drift')} for a person to decide.`] : []),
  ];
}

/** What the lists below show that is not in order. */
function rowReasons({ devices, exports, parts }: Shown): string[] {
  const missing = devices.filter(({ linux_state }) => linux_state === 'missing').length;
  const broken = exports.filter(({ status }) => status === 'failed').length;
  const old = [
    ...(parts.resources.failed === null ? [] : ['volumes and exports']),
    ...(parts.operations.failed === null ? [] : ['operations']),
  ];
  return [
    ...(missing > 0 ? [`${plural(missing, 'volume')} without its disk.`] : []),
    ...(broken > 0 ? [`${plural(broken, 'export')} not served.`] : []),
    ...(old.length > 0 ? [`Not known now: ${old.join(', ')}.`] : []),
  ];
}

function activityOf({ active, parts }: Shown): string {
  if (!isCurrent(parts.operations)) return '';
  const running = active.filter(({ status }) => status === 'executing').length;
  return active.length === 0
    ? 'Nothing is running.'
    : `${running} running, ${active.length - running} waiting.`;
}
