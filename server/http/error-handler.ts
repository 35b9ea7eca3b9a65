import { send } from 'h3';
import type { NitroErrorHandler } from 'nitropack/types';
import { sendProblem } from './response/problem';

/** What is thrown outside of `serve` and the middleware gets the same reply as other errors. */
const handler: NitroErrorHandler = (error, event) => {
  const body = sendProblem(event, error);
  return body === null ? undefined : send(event, body);
};

export default handler;
