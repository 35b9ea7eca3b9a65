import { setTimeout as delay } from 'node:timers/promises';
import { TimeoutError } from './client/errors';
import { entryOf } from './client/journal';
import type { Operation } from './client/operations';
import type { Context } from './context';
import { entryText } from './journal-text';
import { OutageTimer, RETRY_DELAY_MS } from './outage-timer';
import { durationText } from './output/units';

const HEALTH_INTERVAL_MS = 1000;
/** Longest long poll, and what the network may add to it. */
const LONG_POLL_MS = 25_000;
const LONG_POLL_MARGIN_MS = 10_000;
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const SPINNER_INTERVAL_MS = 120;
/** The start of an id is enough to recognise it in a line without room. */
const SHORT_ID_CHARACTERS = 8;

export function hasEnded({ status }: Pick<Operation, 'status'>): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/**
 * Waits for the end of an operation and shows the current step. The long poll decides; the event stream
 * only adds the steps. Operations survive a restart of the daemon, so a daemon that is away is waited for.
 * Throws TimeoutError after --timeout.
 */
export async function waitForEnd(context: Context, operation: Operation): Promise<Operation> {
  const done = new AbortController();
  const signal = AbortSignal.any([context.signal, done.signal]);
  const progress = new Progress(context, operation);
  const steps = Promise.all([progress.followSteps(signal), progress.followWaiting(signal)]);
  try {
    return await pollUntilEnded(context, operation, progress);
  } finally {
    done.abort();
    await steps;
    progress.end();
  }
}

async function pollUntilEnded(
  context: Context,
  operation: Operation,
  progress: Progress,
): Promise<Operation> {
  const path = { id: operation.id };
  const deadlineMs = performance.now() + (context.timeoutMs ?? Number.POSITIVE_INFINITY);
  const outage = new OutageTimer();
  let last = operation;
  let isAway = false;
  while (!hasEnded(last)) {
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0)
      throw new TimeoutError(
        `operation ${operation.id} has not ended within ${durationText(context.timeoutMs ?? 0)}`,
      );
    // A daemon that was away is asked without waiting, so that its return is shown at once.
    const waitMs = isAway ? 1 : Math.min(LONG_POLL_MS, Math.ceil(leftMs));
    try {
      const options = { waitMs, timeoutMs: waitMs + LONG_POLL_MARGIN_MS };
      last = await context.client.call('readOperation', { path }, options);
      outage.end();
      if (isAway) progress.back();
      isAway = false;
      if (last.wait_reason !== undefined) progress.say(`waiting: ${last.wait_reason}`);
    } catch (error) {
      await outage.pauseOrThrow(error, context.signal);
      isAway = true;
      progress.say('the daemon does not answer; waiting for it');
    }
  }
  return last;
}

/** The line that names the step: rewritten with a clock on a terminal, one line for each step elsewhere. */
class Progress {
  private readonly begunMs = performance.now();
  private readonly timer: NodeJS.Timeout | null;
  private text: string;
  /** The last that is known of the operation itself. */
  private step: string;
  private frame = 0;

  constructor(
    private readonly context: Context,
    private readonly operation: Operation,
  ) {
    this.text = operation.status;
    this.step = operation.status;
    this.timer = context.out.settings.live ? setInterval(() => this.draw(), SPINNER_INTERVAL_MS) : null;
    this.draw();
  }

  async followSteps(signal: AbortSignal): Promise<void> {
    const path = { id: this.operation.id };
    let after: string | undefined;
    while (!signal.aborted) {
      try {
        const input = { path, query: { last_event_id: after } };
        for await (const event of this.context.client.events('streamOperation', input, { signal })) {
          after = event.id ?? after;
          const entry = entryOf(event);
          if (entry === null) continue;
          this.step = entryText(entry);
          this.say(this.step);
        }
      } catch {
        // Whether the daemon stays away is decided by the long poll.
      }
      // A daemon that stops ends the stream as the end of the operation does, which the long poll tells.
      await delay(RETRY_DELAY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * What an operation waits for (a device, a job) is not in its journal but in the health, which is cached.
   */
  async followWaiting(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(HEALTH_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
      const health = await this.context.client.call('health', {}, { signal }).catch(() => null);
      const waiting = health?.details.waiting.find(({ id }) => id === this.operation.id);
      if (waiting && !signal.aborted) this.say(`${waiting.step}: waiting: ${waiting.reason}`);
    }
  }

  say(text: string): void {
    if (text === this.text) return;
    this.text = text;
    this.draw();
  }

  /** The daemon answers again. */
  back(): void {
    this.say(this.step);
  }

  end(): void {
    if (this.timer) clearInterval(this.timer);
    this.context.out.erase();
  }

  private draw(): void {
    const { type, volume_id, id } = this.operation;
    const subject = volume_id === '' ? id : volume_id;
    if (this.timer === null) {
      this.context.out.progress(`${type} ${subject}: ${this.text}`);
      return;
    }
    this.frame = (this.frame + 1) % SPINNER.length;
    const elapsed = durationText(performance.now() - this.begunMs);
    this.context.out.progress(
      `${type} ${subject.slice(0, SHORT_ID_CHARACTERS)}: ${this.text} (${elapsed})`,
      SPINNER[this.frame] ?? '',
    );
  }
}
