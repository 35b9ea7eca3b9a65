import type { Call, CallRuling } from '~/lab/faults/cloud-proxy';
import { committedBy, type Ruling, type Statement } from '~/lab/faults/database-proxy';
import { type Insert, parseInsert } from './insert';

/**
 * A boundary at which the daemon can die: a journal write or a foreign call of one operation, on either side
 * of it.
 */
export interface Point {
  /** `journal attach-volume:intent`, `call attachVolume` */
  readonly what: string;
  /** Which of the same name, from 1. */
  readonly nth: number;
  readonly moment: 'before' | 'after';
}

export function textOf({ what, nth, moment }: Point): string {
  return `${moment} ${what} #${nth}`;
}

/**
 * What a question about a job is called, its number following. How often a job is asked about depends on the
 * machine.
 */
export const POLL = 'call queryAsyncJobResult about job';

/**
 * What one operation says to the database and to CloudStack, recognised by the ids that belong to it alone.
 */
export class Trace {
  /** The boundaries it came to, in order. */
  readonly seen: { what: string; nth: number }[] = [];
  readonly hit: Promise<void>;
  isHit = false;
  private operationId: string | null = null;
  private readonly jobs: string[] = [];
  private readonly ids: Set<string>;
  private strike = () => {};

  constructor(
    ids: readonly string[],
    readonly aim: Point | null,
  ) {
    this.ids = new Set(ids);
    this.hit = new Promise((resolve) => {
      this.strike = resolve;
    });
  }

  /** The journal write that this commit makes, as a boundary of this operation; null when it makes none. */
  journalWrite(statement: Statement): { what: string; nth: number } | null {
    const names = (committedBy(statement) ?? []).flatMap((text) => {
      const insert = parseInsert(text);
      if (insert?.table === 'volume_operations') this.recognise(insert);
      return insert?.table === 'volume_operation_steps' ? this.entriesIn(insert) : [];
    });
    return names.length === 0 ? null : this.pass(`journal ${names.join('+')}`);
  }

  call({ command, parameters }: Call): { what: string; nth: number } | null {
    if (![...parameters.values()].some((value) => this.ids.has(value))) return null;
    const jobId = parameters.get('jobid');
    return this.pass(jobId === undefined ? `call ${command}` : `${POLL} ${this.numberOf(jobId)}`);
  }

  isAimedAt(boundary: { what: string; nth: number }, moment: Point['moment']): boolean {
    const { aim } = this;
    return aim?.what === boundary.what && aim.nth === boundary.nth && aim.moment === moment;
  }

  markHit(): void {
    this.isHit = true;
    this.strike();
  }

  private numberOf(jobId: string): number {
    if (!this.jobs.includes(jobId)) this.jobs.push(jobId);
    return this.jobs.indexOf(jobId) + 1;
  }

  private pass(what: string): { what: string; nth: number } {
    const boundary = { what, nth: this.seen.filter((other) => other.what === what).length + 1 };
    this.seen.push(boundary);
    return boundary;
  }

  private recognise({ rows }: Insert): void {
    const mine = rows.find((row) => [...this.ids].some((id) => Object.values(row).join().includes(id)));
    this.operationId = mine?.id ?? this.operationId;
  }

  /**
   * `step:state` of the entries that belong to this operation; learns the ids that it is given on the way.
   */
  private entriesIn({ rows }: Insert): string[] {
    return rows
      .filter((row) => row.operation_id === this.operationId)
      .map(({ step, state, data = '' }) => {
        for (const [, learned] of data.matchAll(/"(?:job_id|volume_id)":"([0-9a-f-]{36})"/g))
          if (learned) this.ids.add(learned);
        return `${step}:${state}`;
      });
  }
}

/**
 * Follows operations through both proxies, and holds each of them at its point until all are there and the
 * daemon is killed.
 */
export class Tracer {
  private traces: readonly Trace[] = [];
  private killed: Promise<void> = Promise.resolve();
  private release = () => {};

  follow(traces: readonly Trace[]): void {
    this.traces = traces;
    this.killed = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  /** The daemon is dead: what was held is lost. */
  letGo(): void {
    this.traces = [];
    this.release();
  }

  readonly statement = (statement: Statement): Ruling | null =>
    this.rule((trace) => trace.journalWrite(statement));

  readonly call = (call: Call): CallRuling | null => this.rule((trace) => trace.call(call));

  private rule(boundaryOf: (trace: Trace) => { what: string; nth: number } | null): CallRuling | null {
    let ruling: CallRuling | null = null;
    for (const trace of this.traces) {
      const boundary = boundaryOf(trace);
      if (!boundary) continue;
      const hold = async () => {
        const { killed } = this;
        trace.markHit();
        await killed;
        return 'cut' as const;
      };
      if (trace.isAimedAt(boundary, 'before')) ruling = { before: hold };
      else if (trace.isAimedAt(boundary, 'after')) ruling = { after: hold };
    }
    return ruling;
  }
}
