import { defineEventHandler } from 'h3';
import { guard } from '../http/guard';
import { sendProblem } from '../http/problem';

export default defineEventHandler((event) => {
  try {
    guard(event);
  } catch (error) {
    return sendProblem(event, error);
  }
});
