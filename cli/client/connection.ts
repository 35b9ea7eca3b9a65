import { readFileSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Call, Problem, Sender, ServerEvent } from './api';
import { readEvents } from './event-stream';
import { Refusal, TooSlow, Unreachable } from './failures';

export interface Target {
  /** `http://127.0.0.1:8090`, or https behind a proxy; with a socket only its path prefix counts. */
  readonly url: URL;
  /** The daemon's UNIX_SOCKET, null to connect by TCP. */
  readonly socket: string | null;
  /** File with the bearer token, null when there is none. */
  readonly tokenFile: string | null;
}

export interface CallOptions {
  /** ms until the whole answer (of a stream: its head) must be there. Default 30 s. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  /** Told the headers of an answer that is no error, before its body. */
  readonly onHeaders?: (headers: IncomingHttpHeaders) => void;
}

const TIMEOUT = 30_000;
/** Answers of this API are small; what is larger is not ours. */
const ANSWER_BYTES = 64 * 1024 * 1024;

/** Sends calls to one daemon over TCP or its unix socket. node:http rather than fetch, which knows no sockets. */
export class Connection implements Sender<CallOptions> {
  private token: string | null = null;

  constructor(private readonly target: Target) {}

  /** What people call it: the socket, or the URL. */
  get name(): string {
    return this.target.socket ?? this.target.url.origin;
  }

  async json<T>(call: Call, options: CallOptions = {}): Promise<T> {
    const text = await this.text(call, options);
    try {
      return JSON.parse(text);
    } catch {
      throw this.nonsense(text);
    }
  }

  async text(call: Call, options: CallOptions = {}): Promise<string> {
    return this.within(options, async (signal) => {
      const response = await this.open(call, options, signal);
      return readAll(response);
    });
  }

  async *events(call: Call, options: CallOptions = {}): AsyncIterable<ServerEvent> {
    const ended = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, ended.signal]) : ended.signal;
    try {
      const response = await this.within(options, () => this.open(call, options, signal));
      yield* readEvents(response);
    } catch (error) {
      throw options.signal?.aborted ? error : this.explain(error);
    } finally {
      ended.abort();
    }
  }

  private async within<T>(options: CallOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = options.timeout ?? TIMEOUT;
    const timer = AbortSignal.timeout(limit);
    const late = new Promise<never>((_, reject) => {
      timer.addEventListener('abort', () => reject(this.slow(limit)), { once: true });
    });
    const signal = options.signal ? AbortSignal.any([options.signal, timer]) : timer;
    try {
      return await Promise.race([work(signal), late]);
    } catch (error) {
      if (timer.aborted) throw this.slow(limit);
      throw options.signal?.aborted ? error : this.explain(error);
    }
  }

  /** The response of a call that the daemon did not refuse; Refusal otherwise. */
  private async open(call: Call, options: CallOptions, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await this.send(call, signal);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) {
      options.onHeaders?.(response.headers);
      return response;
    }
    const text = await readAll(response);
    const problem = problemIn(text);
    throw problem ? new Refusal(status, problem) : this.nonsense(text, status);
  }

  private send({ method, path, input }: Call, signal: AbortSignal): Promise<IncomingMessage> {
    const { url, socket } = this.target;
    const body = input.body === undefined ? undefined : JSON.stringify(input.body);
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const headers = { ...this.headers(body), ...given(input.headers) };
    const target = `${url.pathname.replace(/\/$/, '')}${fill(path, input.path)}${search(input.query)}`;
    return new Promise((resolve, reject) => {
      const where = socket === null ? { host: bare(url.hostname), port: url.port } : { socketPath: socket };
      const sending = send({ ...where, method, path: target, headers, signal, agent: false }, resolve);
      sending.on('error', reject);
      sending.end(body);
    });
  }

  private headers(body: string | undefined): Record<string, string> {
    const token = this.bearer();
    return {
      Accept: 'application/json',
      'User-Agent': 'volumectl',
      Host: this.target.socket === null ? this.target.url.host : 'localhost',
      ...(token !== null && { Authorization: `Bearer ${token}` }),
      // Node frames the body of a DELETE only when told its length.
      ...(body !== undefined && {
        'Content-Type': 'application/json',
        'Content-Length': String(Buffer.byteLength(body)),
      }),
    };
  }

  private bearer(): string | null {
    const { tokenFile } = this.target;
    if (tokenFile === null) return null;
    try {
      this.token ??= readFileSync(tokenFile, 'utf8').trim();
    } catch (error) {
      throw new Unreachable(`the token file cannot be read: ${text(error)}`);
    }
    return this.token;
  }

  private slow(limit: number): TooSlow {
    return new TooSlow(`no answer from ${this.name} within ${limit / 1000} s`);
  }

  private nonsense(body: string, status?: number): Unreachable {
    const shown = body.replace(/\s+/g, ' ').slice(0, 80);
    const what = status === undefined ? 'something else' : `HTTP ${status}`;
    return new Unreachable(`${this.name} answers ${what}, and not as a volume daemon: ${shown}`);
  }

  private explain(error: unknown): unknown {
    if (error instanceof Refusal || error instanceof Unreachable || error instanceof TooSlow) return error;
    return new Unreachable(`no connection to ${this.name}: ${text(error)}`);
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += chunk.length;
    if (size > ANSWER_BYTES) throw new Unreachable('the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function problemIn(text: string): Problem | null {
  try {
    const value: unknown = JSON.parse(text);
    return isProblem(value) ? value : null;
  } catch {
    return null;
  }
}

function isProblem(value: unknown): value is Problem {
  return (
    typeof value === 'object' &&
    value !== null &&
    'code' in value &&
    typeof value.code === 'string' &&
    'detail' in value &&
    typeof value.detail === 'string'
  );
}

function fill(path: string, values: Call['input']['path'] = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}

function search(query: Call['input']['query'] = {}): string {
  const pairs = new URLSearchParams(given(query)).toString();
  return pairs === '' ? '' : `?${pairs}`;
}

function given(values: Readonly<Record<string, string | undefined>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** `[::1]` → `::1`. */
function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** AggregateError (several addresses, all refused) has no text of its own. */
function text(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(text).join('; ');
  return error instanceof Error ? error.message : String(error);
}
