import { stateTone } from '../../cli/output/state-tone';
import type { HealthReply } from '../../server/http/schemas/service';
import { COMPONENT_NAMES } from './component-names';
import { clockTime, plural } from './format';
import { type FeedState, isCurrent, type PartState, type State } from './state';

/** The title of the page, its tone, and the sentences after it. */
export interface Verdict {
  readonly word: string;
  readonly tone: string;
  readonly reasons: readonly string[];
}

/** Everything that the first page shows. */
export interface Shown extends Pick<State, 'devices' | 'exports' | 'active' | 'failures'> {
  readonly connection: FeedState;
  readonly lostSinceMs: number | null;
  readonly health: HealthReply | null;
  readonly parts: Readonly<Record<'health' | 'operations' | 'failures' | 'resources', PartState>>;
  /** More failures than were asked for. */
  readonly manyFailures: boolean;
}

/** What is wrong; what is not known; what goes on. */
interface Findings {
  readonly wrong: readonly string[];
  readonly unknown: readonly string[];
}

/**
 * Made of everything that the page shows. That all is in order is said only when everything was
 * read and nothing is wrong, waits or is unknown: never above a row that says otherwise, nor about
 * what cannot be read now.
 */
export function verdictOf(shown: Shown): Verdict {
  const { health, parts } = shown;
  if (shown.connection === 'lost' || parts.health.failed !== null) return notKnown(shown);
  if (health === null) return { word: 'Looking…', tone: 'idle', reasons: [] };
  const { wrong, unknown } = together(healthFindings(health), rowFindings(shown), readFindings(shown));
  const reasons = [...wrong, ...unknown, activityOf(shown)].filter(Boolean);
  const phase = phaseWord(health);
  if (phase !== null) return { word: phase, tone: stateTone(health.status), reasons };
  if (health.status === 'unhealthy') return { word: 'Not working', tone: 'bad', reasons };
  if (wrong.length > 0 || health.status === 'degraded')
    return { word: 'Needs attention', tone: 'warn', reasons };
  if (unknown.length > 0) return { word: 'Not known', tone: 'warn', reasons };
  const isRead = Object.values(parts).every(isCurrent);
  return isRead
    ? { word: 'Everything is in order', tone: 'good', reasons }
    : { word: 'Looking…', tone: 'idle', reasons };
}

const PHASE_WORDS: Readonly<Record<HealthReply['details']['phase'], string | null>> = {
  ready: null,
  standby: 'Standing by',
  starting: 'Starting',
  stopping: 'Stopping',
};

/**
 * Standing by is for another daemon: one that is not the owner because it cannot know who is, or which VM
 * it runs on, does not.
 */
function phaseWord({ status, details }: HealthReply): string | null {
  const isSettled = status !== 'unhealthy' && details.appliance.owner !== null;
  return details.phase === 'standby' && !isSettled ? null : PHASE_WORDS[details.phase];
}

function notKnown({ parts, lostSinceMs }: Shown): Verdict {
  const sinceMs = parts.health.failed?.sinceMs ?? lostSinceMs;
  const why = parts.health.failed?.why ?? 'the daemon does not answer';
  const since = sinceMs === null ? '' : ` since ${clockTime(sinceMs)}`;
  return { word: 'Not known', tone: 'warn', reasons: [`Not known${since}: ${why.replace(/\.?$/, '.')}`] };
}

function together(...all: Findings[]): Findings {
  return { wrong: all.flatMap(({ wrong }) => wrong), unknown: all.flatMap(({ unknown }) => unknown) };
}

/** `3 volumes without their disk.`, or nothing. */
function some(count: number, noun: string, rest: string): string[] {
  return count === 0 ? [] : [`${plural(count, noun)} ${rest}.`];
}

function healthFindings({ details }: HealthReply): Findings {
  const { components, drifts, held, phase_reason } = details;
  const named = (wanted: readonly string[]): string =>
    Object.entries(components)
      .filter(([, { status }]) => wanted.includes(status))
      .map(([name, { since }]) => {
        const called = COMPONENT_NAMES[name] ?? name;
        return since === undefined ? called : `${called} (since ${clockTime(since)})`;
      })
      .join(', ');
  const troubled = named(['unhealthy', 'degraded']);
  const unknown = named(['unknown']);
  return {
    wrong: [
      ...(phase_reason ? [`${phase_reason}.`] : []),
      ...(troubled === '' ? [] : [`Look at: ${troubled}.`]),
      ...some(held.length, 'operation', 'held until somebody retries or abandons'),
      ...some(drifts.length, 'drift', 'for a person to decide'),
    ],
    unknown: unknown === '' ? [] : [`Not known: ${unknown}.`],
  };
}

/** What the rows below say. */
function rowFindings({ devices, exports, active, failures, manyFailures }: Shown): Findings {
  const missing = devices.filter(({ linux_state }) => linux_state === 'missing').length;
  const broken = exports.filter(({ status }) => status === 'failed').length;
  const waiting = active.filter(
    ({ wait_reason, held }) => wait_reason !== undefined && held === undefined,
  ).length;
  const unseen = exports.filter(({ status, traffic }) => status === 'active' && isUnknown(traffic)).length;
  const failed = manyFailures ? `${failures.length} or more` : String(failures.length);
  return {
    wrong: [
      ...some(missing, 'volume', 'without its disk'),
      ...some(broken, 'export', 'not served'),
      ...(failures.length === 0 ? [] : [`${failed} failed in the last hour.`]),
      ...some(waiting, 'operation', 'held up'),
    ],
    unknown: some(unseen, 'export', 'of which it is not known what flows'),
  };
}

function isUnknown(traffic: State['exports'][number]['traffic']): boolean {
  return traffic !== undefined && traffic.unknown.length > 0;
}

/** What could not be read: its rows are not there, or old. */
function readFindings({ parts }: Shown): Findings {
  const names = {
    operations: 'operations',
    failures: 'what failed',
    resources: 'volumes and exports',
  } as const;
  const unread = (Object.keys(names) as (keyof typeof names)[]).flatMap((name) => {
    const { failed } = parts[name];
    return failed === null ? [] : [`${names[name]} (since ${clockTime(failed.sinceMs)})`];
  });
  return { wrong: [], unknown: unread.length === 0 ? [] : [`Not known: ${unread.join(', ')}.`] };
}

function activityOf({ health, active, parts }: Shown): string {
  if (!isCurrent(parts.operations) || health === null) return '';
  if (active.length === 0) return 'Nothing is running.';
  const running = active.filter(({ status }) => status === 'executing').length;
  // The list is cut off; health counts all.
  const waiting = Math.max(active.length - running, health.details.pending_operations);
  return `${Math.max(running, health.details.active_operations)} running, ${waiting} waiting.`;
}
