import { defineEventHandler, type H3Event } from 'h3';
import { builtFiles, isFilePath, serveFile } from '../http/pages/static-files';
import { assignRequestId } from '../http/request/assign-request-id';
import { guard } from '../http/request/guard';
import { beginRequestSpan } from '../http/request/request-span';
import { sendProblem } from '../http/response/problem';

/**
 * The one middleware: each costs every request a turn. Files come first, for they need no token, so that a
 * page can ask for one.
 */
export default defineEventHandler((event) => {
  if (!isFilePath(event.path)) return enter(event);
  return serveFile(event, builtFiles).then((served) => (served === false ? enter(event) : served));
});

/** Gives the request its id and guards it; nothing when it may go on to its route. */
function enter(event: H3Event): string | null | undefined {
  assignRequestId(event);
  beginRequestSpan(event);
  try {
    guard(event);
    return undefined;
  } catch (error) {
    return sendProblem(event, error);
  }
}
