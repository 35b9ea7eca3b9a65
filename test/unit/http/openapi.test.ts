import { describe, expect, it } from 'vitest';
import { ERRORS } from '~/server/core/errors';
import { errorsOf } from '~/server/http/endpoints/endpoint';
import { endpoints } from '~/server/http/endpoints/registry';
import { openApiDocument } from '~/server/http/openapi';
import { methodsOf } from '~/server/http/request/known-routes';
import { routeFiles } from '~/test/support/http-app';

/** `/devices/**:path` is documented as `/devices/{path}/volume`: the route file removes the end itself. */
function documented(path: string): string {
  return path.replace(/\*\*:(\w+)/, '{$1}/volume').replace(/:(\w+)/g, '{$1}');
}

describe('the registry of endpoints', () => {
  it('has one endpoint for each route file', () => {
    const files = routeFiles()
      .filter(({ path }) => path !== '/**')
      .map(({ path, method = 'all' }) => `${method.toUpperCase()} ${documented(path)}`);
    expect(files.sort()).toEqual(
      endpoints()
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
    );
  });

  it('has every endpoint of the specification', () => {
    const specified = [
      'POST /volumes',
      'POST /volumes/{id}/attach',
      'POST /volumes/{id}/detach',
      'DELETE /volumes/{id}',
      'GET /volumes/{id}',
      'GET /volumes/{id}/device',
      'GET /devices/{path}/volume',
      'GET /vms/{id}/volumes',
      'GET /operations/{id}',
      'GET /operations',
      'POST /admin/force-sync',
      'GET /health',
      'GET /metrics',
    ];
    const there = endpoints().map(({ method, path }) => `${method} ${path.replace('/api/v1', '')}`);
    expect(there).toEqual(expect.arrayContaining(specified));
  });

  it('knows the methods of a path', () => {
    expect(methodsOf('/api/v1/volumes')).toEqual(['GET', 'HEAD', 'POST']);
    expect(methodsOf('/api/v1/volumes/x')).toEqual(['DELETE', 'GET', 'HEAD']);
    expect(methodsOf('/api/v1/exports/validate')).toEqual(['POST']);
    expect(methodsOf('/api/v1/devices/dev/vdb/volume')).toEqual(['GET', 'HEAD']);
    expect(methodsOf('/api/v1/events')).toEqual(['GET']);
    expect(methodsOf('/api/v1/volumes/x/y')).toEqual([]);
    expect(methodsOf('/healthz')).toEqual([]);
  });
});

describe('the OpenAPI document', () => {
  const document = JSON.parse(JSON.stringify(openApiDocument('2.0.0')));

  it('closes no schema of a reply: `ignored` joins those of every change, and later fields any', () => {
    const responses = Object.values<Record<string, { responses: unknown }>>(document.paths).flatMap((path) =>
      Object.values(path).map((operation) => operation.responses),
    );
    const closed = '"additionalProperties":false';
    expect(JSON.stringify([responses, document.components.schemas])).not.toContain(closed);
  });

  it('resolves every reference', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, target = '']) => target,
    );
    expect(references.length).toBeGreaterThan(20);
    for (const target of new Set(references)) {
      const name = /^#\/components\/schemas\/(\w+)$/.exec(target)?.[1] ?? target;
      expect(document.components.schemas).toHaveProperty([name]);
    }
  });

  it('gives every operation a unique name, all its path parameters and its errors', () => {
    const names = new Set<string>();
    for (const endpoint of endpoints()) {
      const { method, path } = endpoint;
      const operation = document.paths[path][method.toLowerCase()];
      names.add(operation.operationId);
      const inPath = operation.parameters.filter((parameter: { in: string }) => parameter.in === 'path');
      expect(inPath.map(({ name }: { name: string }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
      for (const code of errorsOf(endpoint))
        expect(operation.responses[ERRORS[code].status].description).toContain(code);
    }
    expect(names.size).toBe(endpoints().length);
  });

  it('has examples that the schemas accept', () => {
    for (const { body, bodyExample, path } of endpoints()) {
      if (bodyExample !== undefined) expect(body.safeParse(bodyExample).success, path).toBe(true);
    }
  });

  it('has patterns that every dialect of regular expressions reads, and accepts its own examples with them', () => {
    const patterns = [...JSON.stringify(document).matchAll(/"pattern":("(?:[^"\\\\]|\\\\.)*")/g)].map(
      ([, text = '""']) => String(JSON.parse(text)),
    );
    expect(patterns.length).toBeGreaterThan(20);
    for (const pattern of new Set(patterns)) {
      // Unknown to Python, or to JavaScript without the flag u, or meaning something else there.
      expect(pattern).not.toMatch(/\\p|\\u\{|\(\?[<a-z]|\[\[:/);
      for (const flags of ['', 'u']) expect(() => new RegExp(pattern, flags)).not.toThrow();
    }
    const create = document.paths['/api/v1/volumes'].post.requestBody.content['application/json'];
    expect(new RegExp(create.schema.properties.name.pattern).test('Datenträger 💾')).toBe(true);
  });

  it('has numbers and booleans in queries as what they are, with bounds', () => {
    const inQuery = (path: string, name: string) =>
      document.paths[path].get.parameters.find((one: { name: string }) => one.name === name).schema;
    expect(inQuery('/api/v1/operations', 'limit')).toMatchObject({
      type: 'integer',
      minimum: 1,
    });
    expect(inQuery('/api/v1/operations', 'limit')).not.toHaveProperty('pattern');
    expect(inQuery('/api/v1/admin/devices', 'scan')).toMatchObject({ type: 'boolean' });
    expect(inQuery('/api/v1/admin/devices', 'scan')).not.toHaveProperty('enum');
  });

  it('types the events of the streams, and declares the headers of answers', () => {
    const stream = document.paths['/api/v1/events'].get.responses[200].content['text/event-stream'].schema;
    const named = stream.oneOf.map(
      ({ properties }: { properties: Record<string, Record<string, object>> }) => [
        properties.event?.const,
        properties.data?.contentSchema,
      ],
    );
    expect(named).toContainEqual(['traffic', { $ref: '#/components/schemas/TrafficEvent' }]);
    expect(named).toContainEqual(['operation', { $ref: '#/components/schemas/JournalEntry' }]);
    expect(document.paths['/api/v1/operations'].get.responses[200].headers).toHaveProperty('Link');
    expect(document.paths['/api/v1/volumes'].post.responses[503].headers).toHaveProperty('Retry-After');
  });

  it('describes the size as a positive whole number and ids as patterns', () => {
    const create = document.paths['/api/v1/volumes'].post.requestBody.content['application/json'].schema;
    expect(create.required).toEqual(['name', 'size', 'disk_offering_id', 'zone_id']);
    expect(create.properties.size).toMatchObject({ type: 'integer', exclusiveMinimum: 0 });
    expect(create.properties.zone_id.pattern).toContain('[0-9a-fA-F]{8}-');
  });
});
