import { defineEventHandler } from 'h3';
import { assignRequestId } from '../http/request/assign-request-id';
import { beginRequestSpan } from '../http/request/request-span';

export default defineEventHandler((event) => {
  assignRequestId(event);
  beginRequestSpan(event);
});
