/**
 * What a span says of itself; what is null is left out. Never a secret, nor a text that a caller has written.
 */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | null>>;

export interface SpanOptions {
  /** server: a request to us. client: a request of ours. internal: neither. */
  readonly kind: 'server' | 'client' | 'internal';
  /**
   * The W3C `traceparent` of who asked; null: nobody who is known, so the span begins a trace. Absent: it
   * belongs to the span in whose `during` it begins.
   */
  readonly parent?: string | null;
  /** Wall clock ms; default: now. */
  readonly startMs?: number;
  readonly attributes?: SpanAttributes;
}

/** Something that takes time and is told to a trace collector. */
export interface Span {
  /** Its place in its trace, for what follows from it; null when nobody records it. */
  readonly traceparent: string | null;
  rename(name: string): void;
  set(attributes: SpanAttributes): void;
  /** It has not done what it was begun for: an error code, never a message. */
  fail(code: string): void;
  end(): void;
}

/**
 * Where spans go. Nothing that is decided depends on it, and nothing here throws or waits.
 *
 * @example
 * await traced(tracing, 'export publish', { kind: 'internal' }, () => server.publish(target));
 */
export interface Tracing {
  begin(name: string, options: SpanOptions): Span;
  /** Spans that begin in `work`, and in what it awaits, belong to this one. */
  during<T>(span: Span, work: () => T): T;
}

const NO_SPAN: Span = { traceparent: null, rename() {}, set() {}, fail() {}, end() {} };

/** Nobody records. */
export const noTracing: Tracing = { begin: () => NO_SPAN, during: (_, work) => work() };

/** Work with a span around it. What it throws is passed on, and named by its code. */
export async function traced<T>(
  tracing: Tracing,
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const span = tracing.begin(name, options);
  try {
    return await tracing.during(span, () => work(span));
  } catch (error) {
    span.fail(codeIn(error));
    throw error;
  } finally {
    span.end();
  }
}

/** The code of an error, else its class. */
function codeIn(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
