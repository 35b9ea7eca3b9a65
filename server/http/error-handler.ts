import { send } from 'h3';
import type { NitroErrorHandler } from 'nitropack/types';
import { sendProblem } from './response/problem';

/**
 * Nitro's last resort (`errorHandler` in nitro.config.ts): whatever was thrown outside of `serve` and the middleware is
 * answered in the same form as every other error.
 */
const handler: NitroErrorHandler = (error, event) => {
  const body = sendProblem(event, error);
  return body === null ? undefined : send(event, body);
};

export default handler;
