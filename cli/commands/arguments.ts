import { flag, option, positional } from '../arguments';

/** Arguments that several commands take. `meanings` are what completions say of the words. */
export const VOLUME = {
  ...positional('id of the volume, the first 8 characters of it, or its name', 'id'),
  complete: 'volume',
} as const;
export const OPERATION = { ...positional('id of the operation', 'id'), complete: 'operation' } as const;

/** Of every command that changes something. */
export const DRY_RUN = {
  'dry-run': flag('change nothing: show what would be asked, and what is known of it now'),
} as const;

/** Of every command that requests an operation. */
export const REQUEST = {
  ...DRY_RUN,
  key: option(
    'text',
    'Idempotency-Key: repeated within 24 hours, the same operation is answered',
    'Idempotency-Key',
  ),
  wait: { ...flag('wait until the operation has ended, naming its step'), short: 'w' },
} as const;
