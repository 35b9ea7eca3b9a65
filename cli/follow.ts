import type { JournalEntry, Operation, ServerEvent } from './client/api';
import { Refusal, TooSlow, Unreachable } from './client/failures';
import type { Context } from './context';
import { durationText, visible } from './output/text';

/** ms a daemon may be gone (restarted, taken over) before waiting for it ends. */
const GONE = 60_000;
const PAUSE = 500;
const LOOK = 1000;
/** Longest answer of `?wait=`, and what the network may add. */
const WAIT_SECONDS = 25;
const WAIT_MARGIN = 10_000;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const TICK = 120;
/** Characters of an id that are enough to know it again, in a line that has no room. */
const SHORT = 8;

export function hasEnded({ status }: Pick<Operation, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/**
 * Waits for the end of an operation and shows the step it is at. The answer of `?wait=` decides; the event stream only tells the
 * steps. A daemon that restarts meanwhile is waited for: operations survive it. Throws TooSlow when --timeout is over.
 */
export async function followToEnd(context: Context, operation: Operation): Promise<Operation> {
  const done = new AbortController();
  const signal = AbortSignal.any([context.signal, done.signal]);
  const progress = new Progress(context, operation);
  const steps = Promise.all([
    showSteps(context, operation, progress, signal),
    showWaiting(context, operation, progress, signal),
  ]);
  try {
    return await untilEnded(context, operation, progress);
  } finally {
    done.abort();
    await steps;
    progress.end();
  }
}

async function untilEnded(context: Context, operation: Operation, progress: Progress): Promise<Operation> {
  const { id } = operation;
  const deadline = context.timeout === null ? Number.POSITIVE_INFINITY : now() + context.timeout;
  let last = operation;
  const patience = new Patience();
  while (!hasEnded(last)) {
    const left = deadline - now();
    if (left <= 0)
      throw new TooSlow(`operation ${id} has not ended within ${durationText(context.timeout ?? 0)}`);
    const wait = Math.min(WAIT_SECONDS * 1000, Math.ceil(left));
    try {
      const options = { signal: context.signal, timeout: wait + WAIT_MARGIN };
      last = await context.api.readOperation({ path: { id }, query: { wait: `${wait}ms` } }, options);
      patience.renew();
      if (last.wait_reason !== undefined) progress.say(`waiting: ${visible(last.wait_reason)}`);
    } catch (error) {
      await patience.orThrow(error, context.signal);
      progress.say('the daemon does not answer; waiting for it');
    }
  }
  return last;
}

/** How long nobody answered. Only what passes by itself is waited for. */
export class Patience {
  private since: number | null = null;

  renew(): void {
    this.since = null;
  }

  /** Pauses, or throws the error again when it is final or has lasted too long. */
  async orThrow(error: unknown, signal: AbortSignal): Promise<void> {
    const passing =
      error instanceof Unreachable ||
      error instanceof TooSlow ||
      (error instanceof Refusal && (error.status === 503 || error.status === 429));
    this.since ??= now();
    if (!passing || signal.aborted || now() - this.since > GONE) throw error;
    await sleep(PAUSE, signal);
  }
}

async function showSteps(
  context: Context,
  { id }: Operation,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  let after: string | undefined;
  while (!signal.aborted) {
    try {
      const input = { path: { id }, headers: {}, query: { last_event_id: after } };
      for await (const event of context.api.streamOperation(input, { signal })) {
        after = event.id ?? after;
        const entry = entryOf(event);
        if (entry) progress.entry(entry);
      }
      return;
    } catch {
      // Whether the daemon is gone for good is found out by the one who waits for the end.
      await sleep(PAUSE, signal);
    }
  }
}

/** What an operation waits for (a device, a job) is no entry of its journal; the health tells it, and costs nothing. */
async function showWaiting(
  { api }: Context,
  { id }: Operation,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(LOOK, signal);
    const health = await api.health({}, { signal }).catch(() => null);
    const waiting = health?.details.waiting.find((one) => one.id === id);
    if (waiting && !signal.aborted) progress.say(`${waiting.step}: waiting: ${visible(waiting.reason)}`);
  }
}

/** The journal entry in an event, null when it is another kind of event. */
export function entryOf(event: ServerEvent): JournalEntry | null {
  if (event.name !== 'operation' && event.name !== 'appliance') return null;
  const entry: JournalEntry = JSON.parse(event.data);
  return entry;
}

/** What an entry of the journal means, for people. */
export function entryText({ step, state, data }: JournalEntry): string {
  const text = (name: string) => (typeof data[name] === 'string' ? visible(data[name]) : '');
  const because = (reason: string) => (reason === '' ? '' : `: ${reason}`);
  const what = step === 'operation' ? '' : `${step}: `;
  switch (state) {
    case 'intent':
      return `${step}: CloudStack is asked`;
    case 'accepted':
      return `${step}: CloudStack works on it`;
    case 'finished':
      return `${step}: CloudStack says ${text('outcome') || 'it has ended'}${because(text('text'))}`;
    case 'refused':
      return `${step}: CloudStack has refused${because(text('text'))}`;
    case 'done':
      return `${step}: done`;
    case 'failing':
      return `${what}giving up${because(text('message'))}`;
    case 'waiting':
      return `${step}: waiting${because(text('reason'))}`;
    case 'note':
      return `${step}${because(text('message') || text('reason') || 'noted')}`;
    case 'pending':
    case 'executing':
    case 'completed':
    case 'failed':
    case 'cancelled':
      return `${what}${state}`;
    default:
      return state satisfies never;
  }
}

/** The line that names the step: rewritten with a clock on a terminal, one line for each step elsewhere. */
class Progress {
  private readonly begun = now();
  private readonly timer: NodeJS.Timeout | null;
  private text: string;
  private frame = 0;

  constructor(
    private readonly context: Context,
    private readonly operation: Operation,
  ) {
    this.text = operation.status;
    this.timer = context.out.settings.live ? setInterval(() => this.draw(), TICK) : null;
    this.draw();
  }

  entry(entry: JournalEntry): void {
    this.say(entryText(entry));
  }

  say(text: string): void {
    if (text === this.text) return;
    this.text = text;
    this.draw();
  }

  end(): void {
    if (this.timer) clearInterval(this.timer);
    this.context.out.erase();
  }

  private draw(): void {
    const { type, volume_id, id } = this.operation;
    const whose = volume_id === '' ? id : volume_id;
    if (this.timer === null) {
      this.context.out.progress(`${type} ${whose}: ${this.text}`);
      return;
    }
    this.frame = (this.frame + 1) % FRAMES.length;
    this.context.out.progress(
      `${type} ${whose.slice(0, SHORT)}: ${this.text} (${durationText(now() - this.begun)})`,
      FRAMES[this.frame] ?? '',
    );
  }
}

function now(): number {
  return performance.now();
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
}
