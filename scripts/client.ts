import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { VERSION } from '~/server/core/version';
import { openApiDocument } from '~/server/http/openapi';

/**
 * The typed TypeScript client, from the OpenAPI document (which is made from the zod schemas that check requests). Only what that
 * document uses of JSON Schema is understood; anything else stops the generator instead of becoming `unknown` in silence.
 */
type Json = Record<string, unknown>;

const HEAD = `// Made from the OpenAPI document by \`npm run docs\`; edit the schemas in server/http instead.

/** What a request is made of, besides its method and path. */
export interface Input {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As in the document: \`/api/v1/volumes/{id}\`. */
  readonly path: string;
  readonly input: Input;
}

/** Who sends the calls (./connection.ts). All of it throws what went wrong; a reply is what the document promises. */
export interface Sender<Options> {
  json<T>(call: Call, options?: Options): Promise<T>;
  text(call: Call, options?: Options): Promise<string>;
  events(call: Call, options?: Options): AsyncIterable<ServerEvent>;
}

/** One server-sent event. */
export interface ServerEvent {
  /** What Last-Event-ID refers to; null for events that are not replayed. */
  readonly id: string | null;
  readonly name: string;
  readonly data: string;
}
`;

/** The content of cli/client/api.ts. */
export function clientSource(): string {
  const document = openApiDocument(VERSION);
  const types = Object.entries(objectIn(objectIn(document, 'components'), 'schemas')).map(
    ([name, schema]) => `export type ${name} = ${typeOf(asObject(schema))};`,
  );
  const calls = Object.entries(objectIn(document, 'paths')).flatMap(([path, methods]) =>
    Object.entries(asObject(methods)).map(([method, operation]) => ({
      path,
      method: method.toUpperCase(),
      operation: asObject(operation),
    })),
  );
  const made = calls.map(callSource).filter((call) => call !== null);
  const source = [
    HEAD,
    ...types,
    ...made.map(({ input }) => input),
    '/** Every call of the API; pages for people are left out. */',
    'export class Api<Options> {',
    '  constructor(private readonly sender: Sender<Options>) {}',
    ...made.map(({ method }) => method),
    '}',
  ];
  return formatted(`${source.join('\n\n')}\n`);
}

interface CallParts {
  readonly path: string;
  readonly method: string;
  readonly operation: Json;
}

function callSource({ path, method, operation }: CallParts): { input: string; method: string } | null {
  const name = textIn(operation, 'operationId');
  const reply = replyOf(operation);
  if (reply.contentType.startsWith('text/html')) return null;
  const input = inputOf(operation);
  const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
  const parameter = input.required ? `input: ${type}` : `input: ${type} = {}`;
  const call = `{ method: '${method}', path: '${path}', input }`;
  const about = `/** ${method} ${path}: ${textIn(operation, 'summary')} */`;
  const body = {
    json: `async ${name}(${parameter}, options?: Options): Promise<${reply.type}> { return this.sender.json<${reply.type}>(${call}, options); }`,
    text: `async ${name}(${parameter}, options?: Options): Promise<string> { return this.sender.text(${call}, options); }`,
    events: `${name}(${parameter}, options?: Options): AsyncIterable<ServerEvent> { return this.sender.events(${call}, options); }`,
  }[reply.kind];
  return {
    input:
      input.members.length === 0
        ? `export type ${type} = Readonly<Record<string, never>>;`
        : `export interface ${type} {\n${input.members.join('\n')}\n}`,
    method: `${about}\n${body}`,
  };
}

function replyOf(operation: Json): { kind: 'json' | 'text' | 'events'; contentType: string; type: string } {
  const responses = objectIn(operation, 'responses');
  const success = asObject(responses['200'] ?? responses['201']);
  const [entry] = Object.entries(objectIn(success, 'content'));
  if (!entry) throw new Error(`${textIn(operation, 'operationId')} promises no content`);
  const [contentType, media] = entry;
  if (contentType === 'text/event-stream') return { kind: 'events', contentType, type: 'ServerEvent' };
  if (contentType !== 'application/json') return { kind: 'text', contentType, type: 'string' };
  return { kind: 'json', contentType, type: typeOf(objectIn(asObject(media), 'schema')) };
}

/** The members of the input type: path, query, headers, body; what may be left out is optional. */
function inputOf(operation: Json): { members: string[]; required: boolean } {
  const parameters = listIn(operation, 'parameters').map(asObject);
  const members: string[] = [];
  let required = false;
  for (const [place, member] of [
    ['path', 'path'],
    ['query', 'query'],
    ['header', 'headers'],
  ] as const) {
    const here = parameters.filter((parameter) => parameter.in === place);
    if (here.length === 0) continue;
    const needed = here.some((parameter) => parameter.required === true);
    required ||= needed;
    const fields = here.map((parameter) => {
      const optional = parameter.required === true ? '' : '?';
      const schema = objectIn(parameter, 'schema');
      // What is optional may also be undefined, so that callers can pass on what they were not given.
      return `${comment(parameter.description)}readonly ${key(textIn(parameter, 'name'))}${optional}: ${typeOf(schema)}${optional ? ' | undefined' : ''};`;
    });
    members.push(`readonly ${member}${needed ? '' : '?'}: {\n${fields.join('\n')}\n};`);
  }
  if (operation.requestBody !== undefined) {
    const body = asObject(operation.requestBody);
    const schema = objectIn(objectIn(objectIn(body, 'content'), 'application/json'), 'schema');
    required ||= body.required === true;
    members.push(`readonly body${body.required === true ? '' : '?'}: ${typeOf(schema)};`);
  }
  return { members, required };
}

function typeOf(schema: Json): string {
  if (typeof schema.$ref === 'string') return schema.$ref.replace('#/components/schemas/', '');
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  for (const union of [schema.anyOf, schema.oneOf])
    if (Array.isArray(union)) return union.map((one) => typeOf(asObject(one))).join(' | ');
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type })).join(' | ');
  switch (schema.type) {
    case 'string':
      return 'string';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'null':
      return 'null';
    case 'array':
      return `readonly (${typeOf(objectIn(schema, 'items'))})[]`;
    case 'object':
      return objectType(schema);
    case undefined:
      if (Object.keys(schema).length === 0) return 'unknown';
  }
  throw new Error(`the generator does not understand ${JSON.stringify(schema)}`);
}

function objectType(schema: Json): string {
  if (schema.properties === undefined) {
    const names = schema.propertyNames === undefined ? 'string' : typeOf(objectIn(schema, 'propertyNames'));
    return `Readonly<Record<${names}, ${typeOf(objectIn(schema, 'additionalProperties'))}>>`;
  }
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  const fields = Object.entries(objectIn(schema, 'properties')).map(([name, property]) => {
    const about = asObject(property);
    return `${comment(about.description)}readonly ${key(name)}${required.has(name) ? '' : '?'}: ${typeOf(about)};`;
  });
  return `{\n${fields.join('\n')}\n}`;
}

function comment(text: unknown): string {
  return typeof text === 'string' ? `/** ${text.replaceAll('*/', '* /')} */\n` : '';
}

function key(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`;
}

/** As `biome format` would write it, so that the file is like any other. */
function formatted(source: string): string {
  const biome = fileURLToPath(new URL('../node_modules/.bin/biome', import.meta.url));
  return execFileSync(biome, ['format', '--stdin-file-path=cli/client/api.ts'], {
    input: source,
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    encoding: 'utf8',
  });
}

function asObject(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`the document has ${JSON.stringify(value)} where an object should be`);
  return value as Json;
}

function objectIn(parent: Json, name: string): Json {
  return asObject(parent[name]);
}

function listIn(parent: Json, name: string): unknown[] {
  const value = parent[name];
  if (!Array.isArray(value)) throw new Error(`the document has no list ${name}`);
  return value;
}

function textIn(parent: Json, name: string): string {
  const value = parent[name];
  if (typeof value !== 'string') throw new Error(`the document has no text ${name}`);
  return value;
}
