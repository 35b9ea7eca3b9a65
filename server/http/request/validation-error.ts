import type { z } from 'zod';
import { DaemonError, type FieldIssue } from '../../core/errors';
import { LIMITS } from '../../core/limits';

const FIELDS_IN_MESSAGE = 8;
const FIELD_NAME_CHARACTERS = 64;

/** `The request is not valid: size must be …; name is required: …`, with the fields in details. */
export function validationError(issues: readonly FieldIssue[]): DaemonError {
  const shown = issues
    .slice(0, FIELDS_IN_MESSAGE)
    .map(({ field, message }) => (field === '' ? `the body ${message}` : `${field} ${message}`));
  const more = issues.length > shown.length ? `; and ${issues.length - shown.length} more` : '';
  return new DaemonError('VALIDATION_FAILED', `The request is not valid: ${shown.join('; ')}${more}`, {
    details: { fields: issues.slice(0, LIMITS.FIELD_ISSUES) },
  });
}

/** The first issue of every invalid field, in the order of the schema. */
export function fieldIssues(error: z.ZodError): FieldIssue[] {
  const byField = new Map<string, string>();
  for (const issue of error.issues) {
    const field = issue.path.map((part) => String(part).slice(0, FIELD_NAME_CHARACTERS)).join('.');
    if (!byField.has(field)) byField.set(field, field === '' ? 'must be a JSON object' : issue.message);
  }
  return [...byField].map(([field, message]) => ({ field, message }));
}
