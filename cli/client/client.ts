import { readFileSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { EventSourceMessage } from 'eventsource-parser';
import { bearerTokenIn } from '~/server/core/bearer-token';
import { ApiError, ConnectionError, problemIn, TimeoutError, TokenFileError } from './errors';
import { readEvents } from './event-stream';
import { type Input, OPERATIONS, type OperationName, type Reply, type StreamName } from './operations';
import { timerMs } from './time-limit';
import { STREAM_SILENCE_MS } from './watchdog';

export interface Target {
  /** `http://127.0.0.1:8090`, or https behind a proxy; with a socket only its path prefix counts. */
  readonly url: URL;
  /** The daemon's UNIX_SOCKET, null to connect by TCP. */
  readonly socket: string | null;
  /** File with the bearer token, null when there is none. */
  readonly tokenFile: string | null;
}

export interface RequestOptions {
  /** Time until the whole answer (of a stream: its head) must have arrived. Default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Repeated with the same key and body within 24 hours, the server answers with the same operation. */
  readonly idempotencyKey?: string | undefined;
  /** Long poll: the server answers when the operation has ended, or after this time. */
  readonly waitMs?: number;
  /** Called with the headers of a successful answer, before its body is read. */
  readonly onHeaders?: (headers: IncomingHttpHeaders) => void;
  /** Called when an event stream is open, before its first event. */
  readonly onOpen?: () => Promise<void>;
  /**
   * An open event stream on which nothing arrives for so long, not even a heartbeat, is given up. Default 40
   * s.
   */
  readonly silenceMs?: number;
}

/** The parts of a request that differ between operations. */
interface Parts {
  readonly path?: Readonly<Record<string, string>> | undefined;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  readonly body?: unknown;
}

const TIMEOUT_MS = 30_000;
/** Answers of this API are small; anything larger comes from another program. */
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/**
 * The typed client of one daemon, over TCP or its unix socket. It uses node:http because fetch cannot connect
 * to unix sockets.
 *
 * ```ts
 * const target = { url: new URL('http://127.0.0.1:8090'), socket: null, tokenFile: null };
 * const client = new Client(target, { timeoutMs: 10_000 });
 * const { device_path } = await client.call('readVolume', { path: { id: volumeId } });
 * ```
 */
export class Client {
  private token: string | null = null;

  /** `defaults` apply to every request; the options of a single request override them. */
  constructor(
    private readonly target: Target,
    private readonly defaults: RequestOptions = {},
  ) {}

  /**
   * Requests an operation that answers with JSON. Throws ApiError when the daemon refuses, ConnectionError
   * when no daemon answers, TimeoutError when the answer takes too long.
   *
   * ```ts
   * const input = { path: { id: volumeId }, body: { vm_id: vmId } };
   * const { id } = await client.call('attachVolume', input, { idempotencyKey: 'attach-1' });
   * const ended = await client.call('readOperation', { path: { id } }, { waitMs: 25_000 });
   * ```
   */
  async call<Name extends Exclude<OperationName, StreamName>>(
    name: Name,
    input: Input<Name>,
    options: RequestOptions = {},
  ): Promise<Reply<Name>> {
    const request = this.begin({ ...this.defaults, ...options });
    try {
      return this.parse(await readAll(await this.open(name, input, request.options)));
    } catch (error) {
      throw this.explain(error, request.options.signal);
    } finally {
      request.end();
    }
  }

  /**
   * Follows an event stream until the server ends it, the signal aborts or the caller leaves the loop. Throws
   * the errors of `call`; the timeout applies until the stream is open, and after that ConnectionError when
   * it falls silent.
   *
   * ```ts
   * for await (const { id, event, data } of client.events('streamEvents', { query: { last_event_id: 0 } }))
   *   console.log(id, event, JSON.parse(data));
   * ```
   */
  async *events<Name extends StreamName>(
    name: Name,
    input: Input<Name>,
    options: RequestOptions = {},
  ): AsyncIterable<EventSourceMessage> {
    const request = this.begin({ ...this.defaults, ...options });
    try {
      const response = await this.open(name, input, request.options);
      clearTimeout(request.timer);
      await request.options.onOpen?.();
      const { silenceMs = STREAM_SILENCE_MS } = request.options;
      // A machine that has lost its power or its network ends no connection.
      response.setTimeout(silenceMs, () =>
        response.destroy(new ConnectionError(`nothing came from ${this.name} for ${silenceMs / 1000} s`)),
      );
      yield* readEvents(response);
    } catch (error) {
      throw this.explain(error, request.options.signal);
    } finally {
      request.end();
    }
  }

  /** The options of one request, with a signal that also aborts at its time limit and at its end. */
  private begin(options: RequestOptions) {
    const { timeoutMs = TIMEOUT_MS, signal } = options;
    const own = new AbortController();
    const late = () =>
      own.abort(new TimeoutError(`no answer from ${this.name} within ${timeoutMs / 1000} s`));
    const timer = setTimeout(late, timerMs(timeoutMs));
    return {
      options: { ...options, signal: signal ? AbortSignal.any([signal, own.signal]) : own.signal },
      timer,
      end() {
        clearTimeout(timer);
        own.abort();
      },
    };
  }

  /**
   * The response of a request that the daemon did not refuse. Throws ConnectionError when it is not a
   * daemon's.
   */
  private async open(name: OperationName, parts: Parts, options: RequestOptions): Promise<IncomingMessage> {
    const response = await this.send(name, parts, options);
    const status = response.statusCode ?? 0;
    // The daemon names every request. The success of a program that does not is not its word.
    const isNamed = response.headers['x-request-id'] !== undefined;
    if (status >= 200 && status < 300 && isNamed) {
      options.onHeaders?.(response.headers);
      return response;
    }
    const text = await readAll(response);
    const problem = problemIn(text);
    throw problem ? new ApiError(status, problem) : this.notADaemon(text, status);
  }

  private send(name: OperationName, parts: Parts, options: RequestOptions): Promise<IncomingMessage> {
    const { url, socket } = this.target;
    const [method, template] = OPERATIONS[name];
    const request = {
      ...(socket === null ? { host: withoutBrackets(url.hostname), port: url.port } : { socketPath: socket }),
      method,
      path: url.pathname.replace(/\/$/, '') + pathOf(template, parts, options),
      headers: this.headers(parts, options),
      signal: options.signal,
      agent: false,
    };
    const open = url.protocol === 'https:' ? requestHttps : requestHttp;
    return new Promise((resolve, reject) => {
      const sending = open(request, resolve);
      sending.on('error', reject);
      sending.end(parts.body === undefined ? undefined : JSON.stringify(parts.body));
    });
  }

  private headers({ body }: Parts, { idempotencyKey }: RequestOptions): Record<string, string> {
    const token = this.bearer();
    return {
      Accept: 'application/json',
      'User-Agent': 'volumectl',
      Host: this.target.socket === null ? this.target.url.host : 'localhost',
      ...(token !== null && { Authorization: `Bearer ${token}` }),
      ...(idempotencyKey !== undefined && { 'Idempotency-Key': idempotencyKey }),
      // Node sends the body of a DELETE correctly only when its length is set.
      ...(body !== undefined && {
        'Content-Type': 'application/json',
        'Content-Length': String(Buffer.byteLength(JSON.stringify(body))),
      }),
    };
  }

  private bearer(): string | null {
    const { tokenFile } = this.target;
    if (tokenFile === null) return null;
    try {
      // Any kind of file: a shell passes what a program prints as a pipe.
      this.token ??= bearerTokenIn(readFileSync(tokenFile, 'utf8'), tokenFile);
    } catch (error) {
      throw new TokenFileError(`the token file cannot be used: ${messageOf(error)}`);
    }
    return this.token;
  }

  /** The socket, or the URL, for error messages. */
  private get name(): string {
    return this.target.socket ?? this.target.url.origin;
  }

  private parse<T>(text: string): T {
    try {
      return JSON.parse(text);
    } catch {
      throw this.notADaemon(text);
    }
  }

  private notADaemon(body: string, status?: number): ConnectionError {
    const shown = body.replace(/\s+/g, ' ').slice(0, 80);
    const what = status === undefined ? 'something else' : `HTTP ${status}`;
    return new ConnectionError(`${this.name} answers ${what}, and not as a volume daemon: ${shown}`);
  }

  /** Errors of the connection as ConnectionError; the reason of the abort when the request was aborted. */
  private explain(error: unknown, signal: AbortSignal): unknown {
    if (error instanceof ApiError || error instanceof ConnectionError || error instanceof TokenFileError)
      return error;
    if (signal.aborted) return signal.reason;
    return new ConnectionError(`no connection to ${this.name}: ${messageOf(error)}`, !wasConnecting(error));
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response) {
    sizeBytes += chunk.length;
    if (sizeBytes > ANSWER_MAX_BYTES) throw new ConnectionError('the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The path with its parameters and its query filled in. */
export function pathOf(
  template: string,
  { path = {}, query = {} }: Parts,
  { waitMs }: RequestOptions,
): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  if (waitMs !== undefined) search.set('wait', `${waitMs}ms`);
  return search.size === 0 ? filled : `${filled}?${search}`;
}

/** `[::1]` → `::1`. */
function withoutBrackets(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** No connection was made, so that nothing has been sent. */
function wasConnecting(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(wasConnecting);
  return (
    error instanceof Error && 'syscall' in error && ['connect', 'getaddrinfo'].includes(String(error.syscall))
  );
}

/** An AggregateError (several addresses, all refused) has no message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
