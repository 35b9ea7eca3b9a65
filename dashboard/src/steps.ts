import type { JournalEntryReply, OperationReply } from '../../server/http/schemas/operations';
import { baseName } from './format';

type StepState = 'done' | 'running' | 'waiting' | 'failed' | 'ahead';

export interface Step {
  readonly name: string;
  readonly label: string;
  readonly state: StepState;
  /** Wall clock; null while the step has not begun. */
  readonly beginMs: number | null;
  readonly endMs: number | null;
  /** Why it waits, or what CloudStack answered. */
  readonly note: string;
}

const LABELS: Readonly<Record<string, string>> = {
  operation: 'Its status',
  check: 'Check zone and offering',
  'create-volume': 'CloudStack creates',
  'attach-volume': 'CloudStack attaches',
  map: 'Identify device',
  publish: 'NBD export answers',
  guard: 'Device in use?',
  withdraw: 'Withdraw export',
  'detach-volume': 'CloudStack detaches',
  unmap: 'Remove mapping',
  'delete-volume': 'CloudStack deletes',
  'recover-volume': 'CloudStack recovers',
  'resize-volume': 'CloudStack resizes',
  'create-snapshot': 'CloudStack takes the snapshot',
  'delete-snapshot': 'CloudStack deletes the snapshot',
  'revert-volume': 'CloudStack reverts',
  parts: 'A snapshot of each',
  'begin-parts': 'Decide on the snapshots',
  'undo-parts': 'Undo: delete the snapshots',
  'read-back': 'Read back',
  'read-volume': 'Read volume',
  released: 'Free of the test VM',
  'stop-vm': 'Stop test VM',
  'destroy-vm': 'Delete test VM',
  'undo-detach-volume': 'Undo: detach again',
};

/** The state of a step after a journal entry. */
const STATES: Readonly<Record<JournalEntryReply['state'], StepState>> = {
  intent: 'running',
  accepted: 'running',
  pending: 'running',
  executing: 'running',
  waiting: 'waiting',
  finished: 'done',
  done: 'done',
  note: 'done',
  completed: 'done',
  cancelled: 'done',
  refused: 'failed',
  failing: 'failed',
  failed: 'failed',
};

/** The usual steps, to show what a running operation still has to do. */
const USUAL_STEPS: Readonly<Record<OperationReply['type'], readonly string[]>> = {
  create: ['check', 'create-volume'],
  attach: ['attach-volume', 'map', 'publish'],
  detach: ['withdraw', 'detach-volume', 'unmap'],
  delete: ['delete-volume'],
  recover: ['recover-volume'],
  resize: ['resize-volume'],
  snapshot: ['create-snapshot'],
  'delete-snapshot': ['delete-snapshot'],
  revert: ['revert-volume'],
  'snapshot-group': ['parts'],
  cleanup: ['detach-volume', 'attach-volume', 'map', 'publish'],
  unreadable: [],
};

/**
 * The steps of an operation with their times, from its journal. The journal records results, so a step
 * begins with the entry before it (or with its own intent) and ends with its own last entry.
 */
export function stepsOf(operation: OperationReply, journal: readonly JournalEntryReply[]): Step[] {
  const entries = [...journal].sort((a, b) => a.sequence - b.sequence);
  const steps = new Map<string, Step>();
  let previousMs = Date.parse(operation.created_at);
  for (const entry of entries) {
    const atMs = Date.parse(entry.at);
    if (entry.step !== 'operation' || entry.unreadable !== undefined) {
      const before = steps.get(entry.step);
      const beginMs = entry.state === 'intent' ? atMs : (before?.beginMs ?? previousMs);
      const state = stateOf(entry, operation.status);
      steps.set(entry.step, {
        name: entry.step,
        label: LABELS[entry.step] ?? entry.step,
        state,
        beginMs,
        endMs: state === 'done' || state === 'failed' ? atMs : null,
        note: noteOf(entry),
      });
    }
    previousMs = atMs;
  }
  const running = operation.status === 'executing';
  if (!running) return [...steps.values()].map((step) => settled(step, previousMs));
  const ahead = USUAL_STEPS[operation.type].filter((name) => !steps.has(name));
  const busy = [...steps.values()].some(({ state }) => state === 'running' || state === 'waiting');
  const started = entries.length > 0;
  return [
    ...steps.values(),
    ...ahead.map((name, index): Step => {
      const now = !busy && started && index === 0;
      return {
        name,
        label: LABELS[name] ?? name,
        state: now ? 'running' : 'ahead',
        beginMs: now ? previousMs : null,
        endMs: null,
        note: '',
      };
    }),
  ];
}

/** An operation that has ended has no running step. */
function settled(step: Step, atMs: number): Step {
  return step.endMs === null ? { ...step, state: 'failed', endMs: atMs } : step;
}

function stateOf({ state, data, unreadable }: JournalEntryReply, end: OperationReply['status']): StepState {
  if (unreadable !== undefined) return 'failed';
  // Nothing was sent, because nothing was left to do: what it should bring about was there, if all ended
  // well.
  if (state === 'refused' && data.settled === true && end === 'completed') return 'done';
  return state === 'finished' && data.outcome !== 'ok' ? 'failed' : STATES[state];
}

function noteOf({ data, unreadable }: JournalEntryReply): string {
  if (unreadable !== undefined) return `not understood: ${unreadable}`;
  const words = data.reason ?? data.text;
  if (typeof words === 'string') return words;
  return typeof data.device_path === 'string' ? baseName(data.device_path) : '';
}
