/** So many steps of so long, back from now. */
export interface Span {
  readonly stepMs: number;
  readonly steps: number;
}

/** What a step holds: the sum of its values, their mean by weight, or the largest of them. */
export type Reduction = 'sum' | 'mean' | 'largest';

/**
 * Values by time step; a step that is older than the span is overwritten. All memory is taken at once. Times
 * are monotonic ms. A step without a value is unknown, which is not zero.
 */
export class SeriesRing {
  private readonly sums: Float64Array;
  private readonly weights: Float64Array;
  private readonly largest: Float64Array;
  /** Number of the newest step, counted from time 0. */
  private newest = Number.NEGATIVE_INFINITY;

  constructor(private readonly span: Span) {
    this.sums = new Float64Array(span.steps);
    this.weights = new Float64Array(span.steps);
    this.largest = new Float64Array(span.steps);
  }

  /** A value of a time that is older than the span is dropped. */
  add(atMs: number, value: number, weight = 1): void {
    const step = this.advance(atMs);
    if (step <= this.newest - this.span.steps) return;
    const place = this.placeOf(step);
    this.largest[place] = this.weights[place] === 0 ? value : Math.max(this.largest[place] ?? value, value);
    this.sums[place] = (this.sums[place] ?? 0) + value;
    this.weights[place] = (this.weights[place] ?? 0) + weight;
  }

  /** One value a step, the oldest first; the last is that of now. null: nothing is known of it. */
  read(nowMs: number, reduction: Reduction): (number | null)[] {
    this.advance(nowMs);
    const first = this.newest - this.span.steps + 1;
    return Array.from({ length: this.span.steps }, (_, index) => this.valueOf(first + index, reduction));
  }

  private valueOf(step: number, reduction: Reduction): number | null {
    const place = this.placeOf(step);
    const [sum = 0, weight = 0] = [this.sums[place], this.weights[place]];
    if (weight === 0) return null;
    if (reduction === 'largest') return this.largest[place] ?? null;
    return reduction === 'sum' ? sum : sum / weight;
  }

  /** The step of a time. Those between the newest so far and it begin empty. */
  private advance(atMs: number): number {
    const step = stepOf(atMs, this.span);
    const from = Math.max(this.newest + 1, step - this.span.steps + 1);
    for (let empty = from; empty <= step; empty += 1) {
      const place = this.placeOf(empty);
      this.sums[place] = 0;
      this.weights[place] = 0;
    }
    this.newest = Math.max(this.newest, step);
    return step;
  }

  private placeOf(step: number): number {
    const { steps } = this.span;
    return ((step % steps) + steps) % steps;
  }
}

export function stepOf(atMs: number, { stepMs }: Span): number {
  return Math.floor(atMs / stepMs);
}
