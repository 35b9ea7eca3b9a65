import { z } from 'zod';
import type { FieldIssue } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { nearest } from '../../core/nearest';
import { changesSomething } from '../endpoints/endpoint';

type Inputs = {
  readonly method: string;
  readonly query: z.ZodType;
  readonly body: z.ZodType;
  readonly waits?: boolean;
};

const SHOWN_CHARACTERS = 64;
/** Fields without which a request does more than was asked for: almost writing one is a mistake. */
const PREVENTING = ['dry_run', 'read_only'];

/**
 * The query of a request. A request that changes something is refused for every name that is not known, given
 * twice, or without a value: `?dryrun=true` must not run for real. A read ignores unknown names, and takes
 * `status=` as not given, as existing callers send it.
 */
export function readQuery(
  endpoint: Inputs,
  path: string,
  issues: FieldIssue[],
): Readonly<Record<string, string>> {
  const start = path.indexOf('?');
  if (start < 0) return {};
  const known = [...namesOf(endpoint.query), ...(endpoint.waits ? ['wait'] : [])];
  const search = new URLSearchParams(path.slice(start + 1));
  const changes = changesSomething(endpoint);
  const given: Record<string, string> = {};
  for (const name of new Set(search.keys())) {
    const values = search.getAll(name).filter((value) => changes || value !== '');
    const [value] = values;
    if (!known.includes(name)) {
      if (changes) issues.push(unknownName(name, known, namesOf(endpoint.body)));
    } else if (values.length > 1) issues.push({ field: name, message: 'must be given only once' });
    else if (value !== undefined) given[name] = value;
  }
  return given;
}

/**
 * Fields of the body that the endpoint does not know: accepted, and named in the answer. Refused are those
 * that should have prevented something, mistyped or not: a request that has no dry run would do it for real.
 */
export function ignoredFields(endpoint: Inputs, json: unknown, issues: FieldIssue[]): readonly string[] {
  if (!changesSomething(endpoint)) return [];
  const known = namesOf(endpoint.body);
  const given = Object.entries(fieldsOf(json) ?? {}).filter(([name]) => !known.includes(name));
  const unknown = given.map(([name]) => name);
  for (const [name, value] of given) {
    const meant = nearest(shown(name), PREVENTING);
    if (meant === null) continue;
    if (known.includes(meant)) issues.push(unknownName(name, known, []));
    else if (value !== false && value !== null)
      issues.push({ field: shown(name), message: `is not known here: this request has no ${meant}` });
  }
  return unknown.slice(0, LIMITS.FIELD_ISSUES).map(shown);
}

/** An object of JSON; null for anything else. */
export function fieldsOf(json: unknown): object | null {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? json : null;
}

function unknownName(name: string, known: readonly string[], inBody: readonly string[]): FieldIssue {
  const field = shown(name);
  const meant = nearest(field, known);
  if (meant !== null) return { field, message: `is not known here; did you mean ${meant}?`, nearest: meant };
  const elsewhere = nearest(field, inBody);
  if (elsewhere !== null) {
    const message = `is not known in the query; ${elsewhere} belongs in the body`;
    return { field, message, nearest: elsewhere };
  }
  const names = known.length === 0 ? 'takes no query' : `knows ${known.join(', ')}`;
  return { field, message: `is not known here: this request ${names}` };
}

function namesOf(schema: z.ZodType): readonly string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** Half a character is none: many readers refuse a whole answer that has one. */
export function shown(name: string): string {
  return name === '' ? '(empty name)' : name.slice(0, SHOWN_CHARACTERS).replace(/\p{Cs}/gu, '\ufffd');
}
