import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';

const attribute = z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) });
const exportRequest = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attribute) }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string().regex(/^[0-9a-f]{32}$/),
              spanId: z.string().regex(/^[0-9a-f]{16}$/),
              parentSpanId: z.string().optional(),
              name: z.string(),
              kind: z.int(),
              startTimeUnixNano: z.string(),
              endTimeUnixNano: z.string(),
              attributes: z.array(attribute),
              status: z.object({ code: z.int().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});

/** A span as the collector has got it. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly durationMs: number;
  readonly failed: boolean;
  readonly service: unknown;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** A collector of OTLP over HTTP (JSON) on a port of its own, which can be slow, refuse, or be away. */
export class TraceCollector {
  readonly spans: CollectedSpan[] = [];
  /** Bodies as they came. */
  readonly bodies: string[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  /** ok: takes spans. refuse: answers 400. hang: never answers. */
  mode: 'ok' | 'refuse' | 'hang' = 'ok';
  private readonly listeners = new Set<() => void>();

  private constructor(private readonly server: Server) {
    server.on('request', async (request, response) => {
      const raw = await buffer(request);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
      if (request.method !== 'POST' || request.url !== '/v1/traces' || this.mode === 'refuse') {
        response.writeHead(400).end();
        return;
      }
      if (this.mode === 'ok') {
        this.take(body.toString());
        this.headers.push(request.headers);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      }
      for (const listener of this.listeners) listener();
    });
  }

  static async start(port = 0): Promise<TraceCollector> {
    const server = createServer();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new TraceCollector(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Resolves with the first value that `look` finds, now or after what comes. */
  async until<T>(look: (spans: readonly CollectedSpan[]) => T | undefined, timeoutMs = 30_000): Promise<T> {
    const limit = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = look(this.spans);
      if (found !== undefined) return found;
      if (limit.aborted) throw new Error(`not among ${this.spans.map(({ name }) => name).join(', ')}`);
      await new Promise<void>((resolve) => {
        const go = () => {
          this.listeners.delete(go);
          resolve();
        };
        this.listeners.add(go);
        limit.addEventListener('abort', go, { once: true });
      });
    }
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private take(body: string): void {
    this.bodies.push(body);
    for (const { resource, scopeSpans } of exportRequest.parse(JSON.parse(body)).resourceSpans)
      for (const { spans } of scopeSpans)
        for (const span of spans)
          this.spans.push({
            traceId: span.traceId,
            spanId: span.spanId,
            parentSpanId: span.parentSpanId ?? null,
            name: span.name,
            durationMs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
            failed: span.status.code === 2,
            service: valuesOf(resource.attributes)['service.name'],
            attributes: valuesOf(span.attributes),
          });
  }
}

function valuesOf(attributes: readonly z.infer<typeof attribute>[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
