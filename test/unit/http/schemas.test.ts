import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { LIMITS } from '~/server/core/limits';
import { namedEndpoints } from '~/server/http/endpoints/registry';
import { fieldIssues, validationError } from '~/server/http/request/validation-error';
import { exportBody, exportsQuery } from '~/server/http/schemas/exports';
import { operationsQuery } from '~/server/http/schemas/operations';
import {
  attachBody,
  cleanupBody,
  createBody,
  deviceParams,
  forceBody,
  volumeParams,
} from '~/server/http/schemas/volumes';

const UUID = '6F1D2C3B-4a59-4687-9786-a5b4c3d2e1f0';
const CREATE = { name: 'my-volume', size: 1, disk_offering_id: UUID, zone_id: UUID };

function wrong(schema: typeof createBody, input: unknown): string[] {
  const result = schema.safeParse(input);
  return result.success ? [] : fieldIssues(result.error).map(({ field }) => field);
}

describe('creating a volume', () => {
  it('accepts what existing callers send, lower-cases ids and ignores unknown fields', () => {
    const parsed = createBody.parse({
      ...CREATE,
      metadata: { disk_unit_number: 1, thin: true, a: 'b' },
      extra: 1,
    });
    expect(parsed).toEqual({
      ...CREATE,
      disk_offering_id: UUID.toLowerCase(),
      zone_id: UUID.toLowerCase(),
      metadata: { disk_unit_number: '1', thin: 'true', a: 'b' },
    });
  });

  it('accepts metadata null, which is what a Go client sends for a nil map', () => {
    expect(createBody.parse({ ...CREATE, metadata: null }).metadata).toBeNull();
  });

  it('reports all invalid fields together, each once', () => {
    const fields = wrong(createBody, {
      name: '',
      size: -1.5,
      zone_id: 7,
      metadata: { good: 'x', bad: [], worse: {} },
    });
    expect(fields).toEqual(['name', 'size', 'disk_offering_id', 'zone_id', 'metadata.bad', 'metadata.worse']);
  });

  it.each([
    ['zero', 0],
    ['negative', -1],
    ['a fraction', 1.5],
    ['beyond exact integers', 2 ** 53],
    ['a string', '1073741824'],
    ['null', null],
    ['infinity', Number.POSITIVE_INFINITY],
    ['not a number', Number.NaN],
  ])('refuses a size that is %s', (_, size) => {
    expect(wrong(createBody, { ...CREATE, size })).toEqual(['size']);
  });

  it('accepts the largest exact size', () => {
    expect(wrong(createBody, { ...CREATE, size: Number.MAX_SAFE_INTEGER })).toEqual([]);
  });

  it.each([
    ['empty', ''],
    ['blank', '   '],
    ['256 characters', 'a'.repeat(256)],
    ['a line break', 'a\nb'],
    ['a NUL', 'a\0'],
    ['a C1 control character', 'a\u0085'],
    ['half a surrogate pair', '\ud800'],
    ['a number', 1],
  ])('refuses a name that is or has %s', (_, name) => {
    expect(wrong(createBody, { ...CREATE, name })).toEqual(['name']);
  });

  it('accepts 255 characters of any script', () => {
    expect(wrong(createBody, { ...CREATE, name: 'ü'.repeat(255) })).toEqual([]);
  });

  it('limits the metadata, and __proto__ in it has no effect', () => {
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, 'v']));
    expect(wrong(createBody, { ...CREATE, metadata: many })).toEqual(['metadata']);
    expect(wrong(createBody, { ...CREATE, metadata: { k: 'v'.repeat(1025) } })).toEqual(['metadata.k']);
    expect(wrong(createBody, { ...CREATE, metadata: { '\u0001': 'v' } })).toEqual(['metadata.\u0001']);
    // It was rounded before anybody saw it: 12345678901234567000 is not what was sent.
    expect(wrong(createBody, { ...CREATE, metadata: JSON.parse('{"id":12345678901234567890}') })).toEqual([
      'metadata.id',
    ]);
    createBody.safeParse(JSON.parse(`{"metadata":{"__proto__":{"polluted":"yes"}}}`));
    expect({}).not.toHaveProperty('polluted');
  });

  it('never throws, names the invalid fields, and accepts only valid values', () => {
    let taken = 0;
    const or = <T>(good: T) => fc.oneof({ weight: 6, arbitrary: fc.constant(good) }, fc.anything());
    const input = fc.record({
      name: fc.oneof(or('my-volume'), fc.string({ unit: 'binary' })),
      size: fc.oneof(or(1), fc.double(), fc.integer({ min: 1 })),
      disk_offering_id: or(UUID),
      zone_id: or(UUID),
      metadata: or({ a: 1 }),
    });
    fc.assert(
      fc.property(input, (body) => {
        const result = createBody.safeParse(body);
        if (!result.success) {
          expect(fieldIssues(result.error).length).toBeGreaterThan(0);
          return;
        }
        taken += 1;
        expect(Number.isSafeInteger(result.data.size) && result.data.size > 0).toBe(true);
        expect(result.data.name).not.toMatch(/[\p{Cc}\p{Cs}]/u);
        for (const value of Object.values(result.data.metadata ?? {})) expect(typeof value).toBe('string');
      }),
      { numRuns: 500, seed: 7 },
    );
    expect(taken).toBeGreaterThan(20);
  });
});

describe('ids', () => {
  it.each(['../x', '', 'vol-123', `${UUID} `, UUID.slice(1), `{${UUID}}`, UUID.replaceAll('-', '')])(
    'refuses %j',
    (id) => {
      const result = volumeParams.safeParse({ id });
      expect(result.success).toBe(false);
      expect(result.error && fieldIssues(result.error)[0]?.message).toMatch(
        /^must be the UUID of a volume, like /,
      );
    },
  );

  it('refuses anything that is not a string, naming the field', () => {
    for (const vm_id of [1, null, {}, [UUID], true])
      expect(attachBody.safeParse({ vm_id }).success).toBe(false);
    expect(fieldIssues(attachBody.safeParse({}).error ?? neverThere())[0]?.message).toMatch(/^is required/);
  });
});

describe('device paths', () => {
  it.each(['vdb', 'dev/vdb', '/dev/vdb', `remote-vm-${UUID}-${UUID}`, '/tmp/lab/dev/vdb'])(
    'accepts %s',
    (path) => {
      expect(deviceParams.parse({ path })).toEqual({ path });
    },
  );

  it.each([
    '..',
    '../etc/passwd',
    'dev/../vdb',
    './vdb',
    '/dev//vdb',
    'vdb/',
    'v db',
    'vdb\0',
    '%2e%2e',
    'x'.repeat(256),
  ])('refuses %j', (path) => {
    expect(deviceParams.safeParse({ path }).success).toBe(false);
  });
});

describe('filters', () => {
  it('lists the allowed words', () => {
    const result = operationsQuery.safeParse({ type: 'move', status: 'done' });
    expect(fieldIssues(result.error ?? neverThere())).toEqual([
      {
        field: 'type',
        message:
          'must be one of create, attach, detach, delete, recover, cleanup, resize, snapshot, delete-snapshot, revert, snapshot-group',
      },
      { field: 'status', message: 'must be one of pending, executing, completed, failed, cancelled' },
    ]);
  });

  it.each([
    ['2025-08-19T20:30:00Z', Date.UTC(2025, 7, 19, 20, 30)],
    ['2025-08-19T22:30:00.123456789+02:00', Date.UTC(2025, 7, 19, 20, 30, 0, 123)],
    ['2025-08-19T22:30:00 02:00', Date.UTC(2025, 7, 19, 20, 30)],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['1755635400000', 1755635400000],
    ['1955-08-19T20:30:00Z', 0],
    ['999999999999999', Date.UTC(9999, 11, 31, 23, 59, 59, 999)],
  ])('reads the time %s', (since, ms) => {
    expect(operationsQuery.parse({ since }).since).toBe(ms);
  });

  it.each([
    'yesterday',
    '2025-08-19',
    '2025-13-40T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '2025-06-31t20:30:00 02:00',
    '17556354',
    '-1',
    'NaN',
    '99999999999999999',
  ])('refuses the time %s', (since) => {
    expect(operationsQuery.safeParse({ since }).success).toBe(false);
  });

  it.each(['0', '-1', '1.5', '1e2', 'ten', ' 5', '99999999999999999999'])('refuses the limit %j', (limit) => {
    expect(operationsQuery.safeParse({ limit }).success).toBe(false);
    expect(exportsQuery.safeParse({ limit }).success).toBe(false);
  });
});

it('a longer page than there may be is cut, a list without pages is not', () => {
  expect(operationsQuery.parse({ limit: '5000' })).toEqual({ limit: LIMITS.LIST_MAX });
  expect(exportsQuery.parse({ limit: '5000' })).toEqual({ limit: 5000 });
});

describe('other bodies', () => {
  it('accepts force true, false or absent, and nothing else', () => {
    expect(forceBody.parse({})).toEqual({});
    expect(forceBody.parse({ force: true })).toEqual({ force: true });
    for (const force of ['true', 1, {}]) expect(forceBody.safeParse({ force }).success).toBe(false);
  });

  it('needs all three ids of a cleanup', () => {
    const result = cleanupBody.safeParse({ delete_vm: 'yes' });
    expect(fieldIssues(result.error ?? neverThere()).map(({ field }) => field)).toEqual([
      'volume_id',
      'test_vm_id',
      'oma_vm_id',
      'delete_vm',
    ]);
  });

  it('keeps the disk number of an export as text, whether it was a number or a string', () => {
    expect(exportBody.parse({ volume_id: UUID, disk_number: 0 }).disk_number).toBe('0');
    expect(exportBody.parse({ volume_id: UUID, disk_number: '12' }).disk_number).toBe('12');
    expect(exportBody.safeParse({ volume_id: UUID, disk_number: -1 }).success).toBe(false);
  });
});

/** Each is wrong for most fields. */
const ODD: readonly unknown[] = [
  ...['', ' ', 'x', 'a\u0000', '\ud800', 'x'.repeat(5000), UUID],
  ...[0, -1, 1.5, 1e21, true, null, [], {}, [1], [null], [{}], Array(100).fill(UUID)],
  ...[{ a: null }, { a: [] }, { a: 1e21 }, { a: 'x'.repeat(2000) }, { a: '\ud800' }, { '': 'x' }],
];

it.each(namedEndpoints())(
  'every refusal of a field of $name says what is expected, in our own words',
  (one) => {
    for (const schema of [one.endpoint.params, one.endpoint.query, one.endpoint.body])
      for (const field of schema instanceof z.ZodObject ? Object.keys(schema.shape) : [])
        for (const odd of ODD)
          for (const { message } of fieldIssues(
            schema.safeParse({ [field]: odd }).error ?? new z.ZodError([]),
          ))
            expect(message, `${field} = ${JSON.stringify(odd)}`).toMatch(/^(must|is required)\b/);
  },
);

it('a validation error lists the first fields in its message and all of them in details', () => {
  const issues = Array.from({ length: 70 }, (_, index) => ({ field: `f${index}`, message: 'must be right' }));
  const error = validationError(issues);
  expect(error.message).toMatch(/^The request is not valid: f0 must be right; .*; and 62 more$/);
  expect(error.details?.fields).toHaveLength(64);
});

function neverThere(): never {
  throw new Error('expected a refusal');
}
