import { type Clock, systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import { createRedactor } from '~/server/core/redaction';
import { type Access, openAccess } from '~/server/daemon/access/access';

/** The access of a daemon with these settings. */
export function tokenAccess(
  files: { readonly tokenFile?: string; readonly tokensFile?: string },
  clock: Clock = systemClock,
): Access {
  const settings = { tokenFile: files.tokenFile ?? null, tokensFile: files.tokensFile ?? null };
  return openAccess(settings, { clock, logger: silentLogger, redactor: createRedactor() });
}
