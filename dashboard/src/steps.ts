import type { JournalEntryReply, OperationReply } from '../../server/http/schemas/operations';
import { baseName } from './format';

export type StepState = 'done' | 'running' | 'waiting' | 'failed' | 'ahead';

export interface Step {
  readonly name: string;
  readonly label: string;
  readonly state: StepState;
  /** Wall clock ms; null for what lies ahead. */
  readonly begin: number | null;
  readonly end: number | null;
  /** What there is to say: why it waits, what CloudStack answered. */
  readonly note: string;
}

const LABELS: Readonly<Record<string, string>> = {
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
  'read-back': 'Read back',
  'read-volume': 'Read volume',
  released: 'Free of the test VM',
  'stop-vm': 'Stop test VM',
  'destroy-vm': 'Delete test VM',
  'undo-detach-volume': 'Undo: detach again',
};

/** What usually lies ahead, to show where a running operation is going. */
const USUAL: Readonly<Record<OperationReply['type'], readonly string[]>> = {
  create: ['check', 'create-volume'],
  attach: ['attach-volume', 'map', 'publish'],
  detach: ['withdraw', 'detach-volume', 'unmap'],
  delete: ['delete-volume'],
  cleanup: ['detach-volume', 'attach-volume', 'map', 'publish'],
};

/**
 * The journal of an operation as its steps with their times. A step lasts from the end of what came before it (or its own intent)
 * to its last entry: the journal notes answers, and the time between two answers is the time of the second step.
 */
export function stepsOf(operation: OperationReply, journal: readonly JournalEntryReply[]): Step[] {
  const entries = [...journal].sort((a, b) => a.sequence - b.sequence);
  const steps = new Map<string, Step>();
  let since = Date.parse(operation.created_at);
  for (const entry of entries) {
    const at = Date.parse(entry.at);
    if (entry.step !== 'operation') {
      const before = steps.get(entry.step);
      const begin = entry.state === 'intent' ? at : (before?.begin ?? since);
      const state = stateOf(entry);
      steps.set(entry.step, {
        name: entry.step,
        label: LABELS[entry.step] ?? entry.step,
        state,
        begin,
        end: state === 'done' || state === 'failed' ? at : null,
        note: noteOf(entry),
      });
    }
    since = at;
  }
  const running = operation.status === 'executing';
  if (!running) return [...steps.values()].map((step) => settled(step, since));
  const ahead = [...ending(operation, steps)];
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
        begin: now ? since : null,
        end: null,
        note: '',
      };
    }),
  ];
}

function* ending(operation: OperationReply, steps: ReadonlyMap<string, Step>): Generator<string> {
  for (const name of USUAL[operation.type]) if (!steps.has(name)) yield name;
}

/** Nothing of an ended operation runs any more. */
function settled(step: Step, at: number): Step {
  return step.end === null ? { ...step, state: 'failed', end: at } : step;
}

function stateOf({ state, data }: JournalEntryReply): StepState {
  switch (state) {
    case 'waiting':
      return 'waiting';
    case 'refused':
    case 'failed':
    case 'failing':
      return 'failed';
    case 'finished':
      return data.outcome === 'ok' ? 'done' : 'failed';
    case 'done':
    case 'note':
    case 'completed':
    case 'cancelled':
      return 'done';
    case 'intent':
    case 'accepted':
    case 'pending':
    case 'executing':
      return 'running';
    default:
      return state satisfies never;
  }
}

function noteOf({ data }: JournalEntryReply): string {
  const words = data.reason ?? data.text;
  if (typeof words === 'string') return words;
  return typeof data.device_path === 'string' ? baseName(data.device_path) : '';
}
