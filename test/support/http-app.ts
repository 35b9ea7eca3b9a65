import { readdirSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createApp, createRouter, type EventHandler, toNodeListener } from 'h3';
import { expect } from 'vitest';
import type { LogFields } from '~/server/core/log/logger';
import { OPEN } from '~/server/daemon/access/access';
import { setCurrentDaemon } from '~/server/daemon/current';
import type { Daemon } from '~/server/daemon/daemon';
import {
  type AnyEndpoint,
  COMMON_ERRORS,
  changesSomething,
  errorsOf,
} from '~/server/http/endpoints/endpoint';
import { setHttpLogger } from '~/server/http/http-logger';
import { openApiDocument } from '~/server/http/openapi';
import { setGuardSettings } from '~/server/http/request/guard-settings';
import { endpointsAt } from '~/server/http/request/known-routes';
import { sendProblem } from '~/server/http/response/problem';
import { ignoredSchema } from '~/server/http/schemas/fields';
import { problemSchema } from '~/server/http/schemas/problem';

const SERVER = fileURLToPath(new URL('../../server/', import.meta.url));

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Parsed when it is JSON. */
  readonly json: unknown;
}

export interface LogLine {
  readonly message: string;
  readonly fields: LogFields;
}

export interface Sent {
  /** Objects are sent as JSON, with its content type. */
  readonly body?: string | Buffer | object;
  readonly headers?: Record<string, string>;
}

/** The routes and middleware of this repository on a real socket, assembled from their files as in Nitro. */
export class HttpApp {
  private constructor(
    readonly port: number,
    /** What was logged, in order. */
    readonly logged: readonly LogLine[],
    private readonly stop: () => Promise<void>,
  ) {}

  static async start(daemon: Daemon | null, port = 0): Promise<HttpApp> {
    setCurrentDaemon(daemon);
    setGuardSettings({ allowedHosts: [], access: OPEN });
    const logged = logHere();
    const app = createApp({
      onError: (error, event) => {
        const body = sendProblem(event, error);
        event.node.res.end(body ?? undefined);
      },
    });
    for (const file of readdirSync(`${SERVER}middleware`).sort())
      app.use(await handlerIn(`${SERVER}middleware/${file}`));
    const router = createRouter({ preemptive: true });
    for (const { file, path, method } of routeFiles()) router.use(path, await handlerIn(file), method);
    app.use(router);
    const server = createServer(toNodeListener(app)).listen(port, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    return new HttpApp((server.address() as AddressInfo).port, logged, async () => {
      setCurrentDaemon(null);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
  }

  close(): Promise<void> {
    return this.stop();
  }

  /** Sends a request, and always checks the response against what the endpoint declares. */
  async send(method: string, path: string, sent: Sent = {}): Promise<Answer> {
    const response = await this.open(method, path, sent);
    const answer = await collect(response);
    checkDeclared(method, path, answer);
    return answer;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', path, { headers });
  }

  post(path: string, body?: string | Buffer | object, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('POST', path, body === undefined ? { headers } : { body, headers });
  }

  /** The response itself, for streams. */
  open(method: string, path: string, { body, headers = {} }: Sent = {}): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const isJson = typeof body === 'object' && !Buffer.isBuffer(body);
      const text = isJson ? JSON.stringify(body) : body;
      const all = { ...(isJson && { 'content-type': 'application/json' }), ...headers };
      // Node sends the body of a DELETE only if its length is given.
      const framed = text === undefined ? all : { 'content-length': String(Buffer.byteLength(text)), ...all };
      const sending = request(
        { port: this.port, host: '127.0.0.1', method, path, headers: framed, agent: false },
        resolve,
      );
      sending.on('error', reject);
      sending.end(text);
    });
  }
}

/** Errors are printed too: each is a request that was answered with 500. */
function logHere(): LogLine[] {
  const logged: LogLine[] = [];
  const note = (message: string, fields: LogFields = {}) => void logged.push({ message, fields });
  const error = (message: string, fields: LogFields = {}) => {
    note(message, fields);
    process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
  };
  setHttpLogger({ debug: note, info: note, warn: note, error });
  return logged;
}

export async function collect(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  const text = Buffer.concat(chunks).toString('utf8');
  const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== '';
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  };
}

/** Checks status, headers and body against what the endpoint, and so the OpenAPI document, declares. */
export function checkDeclared(method: string, path: string, { status, headers, json }: Answer): void {
  const endpoint = endpointOf(method === 'HEAD' ? 'GET' : method, path);
  expect(headers['x-request-id'], 'every response has a request id').toMatch(/^[A-Za-z0-9._-]{1,64}$/);
  if (status >= 400) {
    if (method === 'HEAD') return;
    const problem = problemSchema.strict().parse(json);
    expect(headers['content-type']).toBe('application/problem+json');
    expect(problem).toMatchObject({ status, error: problem.detail });
    const codes = endpoint ? errorsOf(endpoint) : [...COMMON_ERRORS, 'NOT_FOUND', 'METHOD_NOT_ALLOWED'];
    expect(codes, `${method} ${path}`).toContain(problem.code);
    if (status === 503) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    return;
  }
  expect(endpoint, `${method} ${path} is in the registry`).toBeDefined();
  if (endpoint) checkHeaders(endpoint, status, headers);
  if (status === 304 || method === 'HEAD' || !endpoint || endpoint.reply.contentType) return;
  expect(status).toBe(endpoint.reply.status);
  const { schema } = endpoint.reply;
  const described = changesSomething(endpoint) ? schema.and(ignoredSchema) : schema;
  expect(described.parse(json), 'exactly what the schema describes').toEqual(json);
}

/** Headers that say something about an answer; the others are those of every answer, or of HTTP itself. */
const TELLING = ['age', 'etag', 'link', 'location', 'preference-applied', 'volumes-incomplete'];
const document = openApiDocument('test') as {
  paths: Record<string, Record<string, { responses: Record<string, { headers?: object }> }>>;
};

function checkHeaders({ path, method }: AnyEndpoint, status: number, headers: IncomingHttpHeaders): void {
  const declared = document.paths[path]?.[method.toLowerCase()]?.responses[status]?.headers ?? {};
  const names = Object.keys(declared).map((name) => name.toLowerCase());
  for (const name of TELLING)
    if (headers[name] !== undefined) expect(names, `${method} ${path} ${status}`).toContain(name);
}

export function endpointOf(method: string, path: string): AnyEndpoint | undefined {
  const pathname = path.split('?')[0] ?? '/';
  return endpointsAt(pathname).find((endpoint) => endpoint.method === method);
}

type Verb = 'get' | 'post' | 'delete';

/** Nitro's naming: `volumes/[id]/attach.post.ts` → POST /volumes/:id/attach. */
export function routeFiles(): { file: string; path: string; method?: Verb }[] {
  return readdirSync(`${SERVER}routes`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => {
      const [, stem = '', verb] = /^(.+?)(?:\.(get|post|delete))?\.ts$/.exec(name) ?? [];
      const path = `/${stem}`
        .replace(/\/index$/, '/')
        .replace(/\[\.\.\.(\w*)\]/g, (_, word: string) => (word ? `**:${word}` : '**'))
        .replace(/\[(\w+)\]/g, ':$1')
        .replace(/(.)\/$/, '$1');
      const file = `${SERVER}routes/${name}`;
      return verb === 'get' || verb === 'post' || verb === 'delete'
        ? { file, path, method: verb }
        : { file, path };
    });
}

async function handlerIn(file: string): Promise<EventHandler> {
  const module: { default: EventHandler } = await import(file);
  return module.default;
}
