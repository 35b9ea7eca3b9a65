import { defineEventHandler } from 'h3';
import { noSuchRoute } from '../http/request/known-routes';
import { sendProblem } from '../http/response/problem';

/** Whatever no other route takes: a known path with another method (405), or nothing at all (404). */
export default defineEventHandler((event) =>
  sendProblem(event, noSuchRoute(event.method, event.path.split('?')[0] ?? '/')),
);
