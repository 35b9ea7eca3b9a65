import { noTracing, type Span, type SpanOptions, type Tracing } from '../../core/tracing';

/** Records nothing until the part that sends spans has been loaded: then everything goes there. */
export class LateTracing implements Tracing {
  private to = noTracing;

  use(tracing: Tracing): void {
    this.to = tracing;
  }

  begin(name: string, options: SpanOptions): Span {
    return this.to.begin(name, options);
  }

  during<T>(span: Span, work: () => T): T {
    return this.to.during(span, work);
  }
}
