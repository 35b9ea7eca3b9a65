import { z } from 'zod';
import { LIMITS } from '../../core/limits';
import type { MappingPlace } from '../../model/ledger';
import { expected, limit } from './fields';

const SEPARATOR = '\n';

/** The value of `cursor` that leads on after a mapping. */
export function mappingCursor({ devicePath, volumeId }: MappingPlace): string {
  return Buffer.from(`${devicePath}${SEPARATOR}${volumeId}`).toString('base64url');
}

/** Null for anything that mappingCursor does not make. */
function placeOf(cursor: string): MappingPlace | null {
  const [devicePath, volumeId] = Buffer.from(cursor, 'base64url').toString('utf8').split(SEPARATOR);
  if (!devicePath || !volumeId) return null;
  const place = { devicePath, volumeId };
  return mappingCursor(place) === cursor ? place : null;
}

const error = expected('the cursor of a Link header');

export const devicesQuery = z.object({
  limit: limit.optional(),
  cursor: z
    .string({ error })
    .max(LIMITS.CURSOR_CHARACTERS, { error })
    .transform((text, context): MappingPlace => {
      const place = placeOf(text);
      if (place !== null) return place;
      context.addIssue({ code: 'custom', message: error({ input: text }), input: text });
      return z.NEVER;
    })
    .meta({ description: 'from the Link header of the page before' })
    .optional(),
});
