import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openApiDocument } from '~/server/http/openapi';
import { NOBODY, OTHER_VM, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';
import { SeededRandom } from './fuzz/seeded-random';

/**
 * What the OpenAPI document forbids, the server refuses: values that break each constraint of each
 * parameter and of each field of a body, one at a time in a request that is right otherwise. Seeded:
 * CONSTRAINTS_SEED repeats it.
 */
const app = useHttpApp();
const random = new SeededRandom(Number(process.env.CONSTRAINTS_SEED ?? 20_261_127));

type Schema = Readonly<Record<string, unknown>> & {
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
};
interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema: Schema;
}
interface Documented {
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly content: { readonly 'application/json': { readonly schema: Schema; readonly example?: object } };
  };
}
const document = JSON.parse(JSON.stringify(openApiDocument('test'))) as {
  paths: Record<string, Record<string, Documented>>;
};
const EVERY = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, documented]) => ({
    method: method.toUpperCase(),
    path,
    ...documented,
  })),
);
type Operation = (typeof EVERY)[number];
const OPERATIONS = EVERY.filter(({ path }) => path.startsWith('/api/v1/'));

/** Values at and beyond the bounds of a schema, and of every other type. */
function candidates(schema: Schema): unknown[] {
  const { minimum, maximum, maxLength } = schema;
  const texts = ['', ' ', 'not what is meant', 'a\u0000b', 'a\u0085b', `${random.below(10)}x`, '00'];
  return [
    ...texts,
    ...[null, true, [], {}, [1], { a: {} }],
    ...[-1, 0, 0.5, -0.5, 1e21, random.below(1000) + 0.25, -random.below(1_000_000) - 1],
    ...(minimum === undefined ? [] : [minimum - 1, minimum - 0.5]),
    ...(maximum === undefined ? [] : [maximum + 1, maximum * 2]),
    ...(maxLength === undefined ? [] : ['x'.repeat(maxLength + 1), 'x'.repeat(maxLength * 2)]),
    ...(schema.anyOf ?? []).flatMap(candidates),
  ];
}

function broken(schema: Schema): unknown[] {
  const validator = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
  const all = candidates(schema).filter((value) => !validator.safeParse(value).success);
  while (all.length > VALUES) all.splice(random.below(all.length - BOUNDS), 1);
  return all;
}

/**
 * So many of each, at random, so that every run is short; those at the bounds are last and always among them.
 */
const VALUES = 6;
const BOUNDS = 3;

/** Of a parameter there are only texts, and what has no text, or the same as a right one, cannot be sent. */
function brokenTexts({ in: place, schema }: Parameter): string[] {
  const isText = schema.type === undefined || schema.type === 'string';
  const values = broken(schema).filter((value) =>
    isText ? typeof value === 'string' : typeof value !== 'object',
  );
  const texts = values
    .map(String)
    .filter((text) => schema.type !== 'boolean' || !['0', '1', 'true'].includes(text));
  const sendable = texts.filter(
    (text) => schema.type !== 'integer' || !/^0+$/.test(text) || schema.minimum !== 0,
  );
  // An empty value in the query of a request that only reads is none.
  if (place === 'query') return sendable.filter((text) => text.trim() !== '');
  return sendable.filter((text) => text.trim() !== '' && !/[\u0000-\u001f\u0080-\uffff]/.test(text));
}

let operation: string;
beforeEach(async () => {
  const volume = { name: 'one', size: 1073741824, disk_offering_id: NOBODY, zone_id: OTHER_VM };
  await app.post('/api/v1/volumes', volume);
  operation = app.daemon.stored[0]?.id ?? '';
  app.daemon.requests.length = 0;
});

function address({ path }: Operation, replaced: Readonly<Record<string, string>> = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const usual = name === 'path' ? 'vdb' : path.includes('/operations/') ? operation : VOLUME;
    return encodeURIComponent(replaced[name] ?? usual);
  });
}

async function isRefused({ method }: Operation, path: string, sent: object, what: string): Promise<void> {
  const before = JSON.stringify(app.daemon.stored);
  const answer = await app.send(method, path, sent);
  expect([answer.status, (answer.json as { code?: string } | undefined)?.code], what).toEqual([
    400,
    'VALIDATION_FAILED',
  ]);
  expect(app.daemon.requests, what).toEqual([]);
  expect(JSON.stringify(app.daemon.stored), what).toBe(before);
}

describe('what the document forbids is refused', () => {
  it('there is something to try', () => {
    const tried = OPERATIONS.flatMap(({ parameters }) => parameters.flatMap(brokenTexts));
    expect(tried.length).toBeGreaterThan(60);
  });

  it.each(OPERATIONS)('$method $path', async (one) => {
    const content = one.requestBody?.content['application/json'];
    const example = content?.example;
    const body = example === undefined ? {} : { body: example };
    for (const parameter of one.parameters)
      for (const text of brokenTexts(parameter)) {
        const what = `${parameter.in} ${parameter.name} = ${JSON.stringify(text)}`;
        const path = address(one, parameter.in === 'path' ? { [parameter.name]: text } : {});
        const query = parameter.in === 'query' ? `?${new URLSearchParams({ [parameter.name]: text })}` : '';
        const headers = parameter.in === 'header' ? { headers: { [parameter.name]: text } } : {};
        await isRefused(one, path + query, { ...body, ...headers }, what);
      }
    for (const [name, schema] of Object.entries(content?.schema.properties ?? {}))
      for (const value of broken(schema))
        await isRefused(
          one,
          address(one),
          { body: { ...example, [name]: value } },
          `${name} = ${JSON.stringify(value)}`,
        );
    for (const name of content?.schema.required ?? [])
      await isRefused(one, address(one), { body: { ...example, [name]: undefined } }, `without ${name}`);
  });
});
