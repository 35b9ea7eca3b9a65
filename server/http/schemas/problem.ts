import { z } from 'zod';
import { ERRORS } from '../../core/errors';
import { jsonObject, named } from './fields';

/** Every error of the API: RFC 9457 members, and error, code, details as existing callers read them. */
export const problemSchema = named('Problem', {
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  error: z.string().meta({ description: 'the same text as detail' }),
  code: z
    .string()
    .meta({ description: 'stable, see docs/reference/errors.md', examples: Object.keys(ERRORS).slice(0, 3) }),
  details: jsonObject.optional().meta({
    description:
      'machine readable; for VALIDATION_FAILED: fields, a list of {field, message, nearest}, nearest being the known name that was probably meant',
  }),
  fix: z.string().meta({ description: 'what the reader can do' }),
  request_id: z.string(),
});
export type ProblemReply = z.infer<typeof problemSchema>;
