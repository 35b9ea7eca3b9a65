import { defineEventHandler } from 'h3';
import { guard } from '../http/request/guard';
import { sendProblem } from '../http/response/problem';

export default defineEventHandler((event) => {
  try {
    guard(event);
  } catch (error) {
    return sendProblem(event, error);
  }
});
