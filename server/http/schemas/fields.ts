import { z } from 'zod';
import { isCalendarDay } from '../../core/calendar-day';
import { LIMITS } from '../../core/limits';

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;
/**
 * No control characters. Written for every dialect of regular expressions, since the OpenAPI document shows
 * it: classes like \\p{Cc} are not known to Python, nor to JavaScript without the flag u.
 */
const NO_CONTROLS = /^[^\u0000-\u001f\u007f-\u009f]*$/;
/**
 * The same, and not only spaces. These are named one by one: where two neighbouring parts can take the same
 * characters, a long text that does not match is tried with every place between them, which took seconds.
 */
const WORDS =
  /^[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$/;

/** Lone surrogates are no characters; JSON columns refuse them. */
function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

/** The message for an invalid field. It continues the sentence "<field> …" and says what is expected. */
export function expected(what: string): (issue: { input?: unknown }) => string {
  return ({ input }) => (input === undefined ? `is required: ${what}` : `must be ${what}`);
}

/** A UUID of any version (CloudStack does not promise one), lower-cased. */
export function uuid(of: string, form = UUID) {
  const error = expected(`the UUID of ${of}, like 0a1b2c3d-0a1b-4c3d-8e9f-0a1b2c3d4e5f`);
  return z
    .string({ error })
    .regex(form, { error })
    .transform((text) => text.toLowerCase());
}

export function cleanText(what: string, maxCharacters: number) {
  const error = expected(`${what}: 1 to ${maxCharacters} characters, no control characters`);
  return z
    .string({ error })
    .min(1, { error })
    .max(maxCharacters, { error })
    .regex(WORDS, { error })
    .refine((text) => text.trim() !== '' && isWellFormed(text), { error });
}

const METADATA = expected(
  `a string of at most ${LIMITS.METADATA_VALUE_CHARACTERS} characters, a number up to ${Number.MAX_SAFE_INTEGER} or a boolean`,
);
const metadataText = z
  .string()
  .max(LIMITS.METADATA_VALUE_CHARACTERS, { error: METADATA })
  .refine(isWellFormed, { error: METADATA });
/** A larger number has been rounded when it was read, and would become another text than was sent. */
const exact = z
  .number()
  .min(Number.MIN_SAFE_INTEGER, { error: METADATA })
  .max(Number.MAX_SAFE_INTEGER, { error: METADATA });
const metadataValue = z.union([metadataText, exact, z.boolean()], { error: METADATA });

/** Existing callers send strings. Numbers and booleans become text; a nil map of Go is null. */
export const metadata = z
  .record(
    z.string().min(1).max(LIMITS.NAME_CHARACTERS).regex(NO_CONTROLS).refine(isWellFormed),
    metadataValue.transform(String),
    {
      error: 'must be an object whose keys are 1 to 255 characters and whose values are strings',
    },
  )
  .refine((entries) => Object.keys(entries).length <= LIMITS.METADATA_ENTRIES, {
    error: `must have at most ${LIMITS.METADATA_ENTRIES} entries`,
  })
  .nullish();

export function flag(what: string) {
  return z.boolean({ error: expected(`true or false: ${what}`) });
}

/** `true`, `false`, `1`, `0` in a query. */
export function queryFlag(what: string) {
  const error = expected(`true or false: ${what}`);
  return z
    .enum(['true', 'false', '1', '0'], { error })
    .transform((text) => text === 'true' || text === '1')
    .meta({ type: 'boolean', description: what })
    .optional();
}

/** One of these words; the message names them all. */
export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, { error: expected(`one of ${words.join(', ')}`) });
}

/** The maximum length of a list that has no pages. */
export const longestList = wholeNumber('a whole number from 1', 1);

const PAGE = `a whole number from 1; a page has ${LIMITS.LIST_MAX} at most`;

/** The length of a page. Existing callers ask for more than there may be: the Link header leads on. */
export const limit = wholeNumber(PAGE, 1)
  .transform((value) => Math.min(value, LIMITS.LIST_MAX))
  .meta({ type: 'integer', minimum: 1, description: PAGE });

export function wholeNumber(what: string, minimum: number) {
  const maximum = Number.MAX_SAFE_INTEGER;
  const error = expected(what);
  return z
    .string({ error })
    .regex(/^\d{1,16}$/, { error })
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, { error })
    .meta({ type: 'integer', minimum, maximum, description: what });
}

const RFC3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+ -]\d{2}:\d{2})$/;
const SINCE = 'a time: RFC 3339 like 2025-08-19T20:30:00Z, or milliseconds since 1970';

/** The end of the year 9999. DATETIME columns end earlier but still compare correctly. */
const LAST_MS = 253_402_300_799_999;

/**
 * A time as wall clock ms, from 1970 to 9999: what lies outside means their ends. An unescaped `+` of a zone
 * offset arrives as a space, which is accepted.
 */
export const moment = z
  .string({ error: expected(SINCE) })
  .transform((text, context) => {
    const isTime = RFC3339.test(text) && isCalendarDay(text);
    const rfc3339 = isTime ? Date.parse(normaliseTime(text)) : Number.NaN;
    const ms = /^\d{10,15}$/.test(text) ? Number(text) : rfc3339;
    if (Number.isFinite(ms)) return Math.min(Math.max(ms, 0), LAST_MS);
    context.addIssue({ code: 'custom', message: `must be ${SINCE}`, input: text });
    return z.NEVER;
  })
  .meta({
    description: SINCE,
    examples: ['2025-08-19T20:30:00Z'],
    anyOf: [{ format: 'date-time' }, { pattern: '^[0-9]{10,15}$' }],
  });

function normaliseTime(text: string): string {
  const zoned = text.replace(/ (\d{2}:\d{2})$/, '+$1').toUpperCase();
  return `${zoned.slice(0, 10)}T${zoned.slice(11)}`;
}

/** The schema of a reply, with its name in the OpenAPI document. */
export function named<Shape extends z.ZodRawShape>(id: string, shape: Shape) {
  return z.object(shape).meta({ id });
}

export const timestamp = z.iso
  .datetime({ precision: 3 })
  .meta({ description: 'RFC 3339, UTC, milliseconds' });
export const bytes = z.int().nonnegative().meta({ description: 'bytes' });
/** In the reply of every request that changes something; `serve` adds it. */
export const ignoredSchema = named('Ignored', {
  ignored: z
    .array(z.string())
    .optional()
    .meta({ description: 'fields of the body that this endpoint does not know; absent when there are none' }),
});
export const jsonObject = z.record(z.string(), z.unknown());
