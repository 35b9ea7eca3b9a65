import { defineEventHandler } from 'h3';
import { noSuchRoute } from '../http/request/known-routes';
import { sendProblem } from '../http/response/problem';

/** Requests without a route: 405 for a known path with another method, else 404. */
export default defineEventHandler((event) =>
  sendProblem(event, noSuchRoute(event.method, event.path.split('?')[0] ?? '/')),
);
