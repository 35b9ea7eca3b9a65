import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { replyOf } from '~/server/http/response/reply-of';
import { timestamp } from '~/server/http/schemas/fields';

const schema = z.object({
  volume_id: z.string(),
  next_attempt_at: timestamp.nullable(),
  completed_at: timestamp.optional(),
  size: z.int(),
});
const SOURCE = { volumeId: 'v', nextAttemptAt: null, completedAt: null, size: 1 };

describe('a reply made from its schema', () => {
  it('takes each field from its camel-case name, in the order of the schema, and nothing else', () => {
    const record = { size: 1, secret: 'x', completedAt: 0, nextAttemptAt: 1, volumeId: 'v' };
    expect(Object.entries(replyOf(schema, record))).toEqual([
      ['volume_id', 'v'],
      ['next_attempt_at', '1970-01-01T00:00:00.001Z'],
      ['completed_at', '1970-01-01T00:00:00.000Z'],
      ['size', 1],
    ]);
  });

  it('has null for a nullable field, and omits an optional one', () => {
    expect(replyOf(schema, SOURCE)).toEqual({ volume_id: 'v', next_attempt_at: null, size: 1 });
  });

  it('is refused by the compiler when a field is missing or has another type', () => {
    const { size: _, ...withoutSize } = SOURCE;
    // @ts-expect-error size is missing
    expect(replyOf(schema, withoutSize)).toHaveProperty('size', undefined);
    // @ts-expect-error a time is given in milliseconds
    expect(replyOf(schema, { ...SOURCE, completedAt: 'now' })).toHaveProperty('completed_at', 'now');
  });
});
