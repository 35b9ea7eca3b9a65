import { z } from 'zod';

/** `created_at` → `createdAt`. */
type CamelCase<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Name;

/** What a field of a reply is made from: a timestamp from wall clock ms; anything else is taken as it is. */
type SourceField<Field> =
  Field extends z.ZodOptional<infer Inner>
    ? SourceField<Inner> | null
    : Field extends z.ZodNullable<infer Inner>
      ? SourceField<Inner> | null
      : Field extends z.ZodISODateTime
        ? number
        : z.output<Field> extends readonly (infer Element)[]
          ? readonly Element[]
          : z.output<Field>;

type Source<Shape> = {
  readonly [Name in keyof Shape & string as CamelCase<Name>]: SourceField<Shape[Name]>;
};

/** The latest that was written: many replies say what time it is, within the same ms. */
let latest = { ms: 0, text: '1970-01-01T00:00:00.000Z' };

/** Wall clock ms → RFC 3339, UTC, milliseconds. */
export function timestampOf(ms: number): string {
  if (ms !== latest.ms) latest = { ms, text: new Date(ms).toISOString() };
  return latest.text;
}

/**
 * The reply that a schema describes, from an object of the domain: `volume_id` is its `volumeId`, times
 * become timestamps, an optional field that is null is omitted. Only what the schema names gets into the
 * reply.
 */
export function replyOf<Shape extends z.core.$ZodLooseShape>(
  schema: z.ZodObject<Shape>,
  source: Source<Shape>,
): z.output<z.ZodObject<Shape>> {
  const reply: Record<string, unknown> = {};
  for (const { name, from, isOptional, isTime } of fieldsOf(schema)) {
    const value: unknown = Reflect.get(source, from);
    if (value === null && isOptional) continue;
    reply[name] = typeof value === 'number' && isTime ? timestampOf(value) : value;
  }
  // The loop has filled in every key of the shape, which a type cannot follow; HttpApp parses every reply of
  // a test.
  return reply as z.output<z.ZodObject<Shape>>;
}

interface ReplyField {
  readonly name: string;
  /** Its name in the object of the domain. */
  readonly from: string;
  readonly isOptional: boolean;
  readonly isTime: boolean;
}

/** A page has a thousand objects of one schema. */
const known = new WeakMap<z.ZodObject, readonly ReplyField[]>();

function fieldsOf(schema: z.ZodObject): readonly ReplyField[] {
  const before = known.get(schema);
  if (before) return before;
  const fields = Object.entries(schema.shape).map(([name, field]) => ({
    name,
    from: name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    isOptional: field instanceof z.ZodOptional,
    isTime: isTimestamp(field),
  }));
  known.set(schema, fields);
  return fields;
}

function isTimestamp(field: unknown): boolean {
  return field instanceof z.ZodOptional || field instanceof z.ZodNullable
    ? isTimestamp(field.unwrap())
    : field instanceof z.ZodISODateTime;
}
