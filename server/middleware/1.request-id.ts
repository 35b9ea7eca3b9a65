import { defineEventHandler } from 'h3';
import { assignRequestId } from '../http/request/assign-request-id';

export default defineEventHandler((event) => assignRequestId(event));
