import { type $Fetch, createFetch, FetchError } from 'ofetch';
import { z } from 'zod';
import { apiError, badAnswer, networkError } from '../errors';
import { type Agents, fetchThrough } from './fetch-through';
import { parseAnswer } from './parse-answer';

const errorBody = z.object({
  errorcode: z.coerce.number(),
  cserrorcode: z.coerce.number().optional(),
  errortext: z.string().default('no text'),
});
const envelope = z.record(z.string(), z.unknown());

/** The content of the `<command>response` envelope. */
export type WireBody = Readonly<Record<string, unknown>>;

/** Sends calls over these connections. No retries: the caller knows what is safe. */
export function createSender(agents: Agents): $Fetch {
  return createFetch({
    fetch: fetchThrough(agents),
    defaults: { retry: false, ignoreResponseError: true, redirect: 'manual' },
  });
}

export interface WireCall {
  readonly endpoint: string;
  readonly command: string;
  /** The signed parameters. */
  readonly form: string;
  /** Until the last byte of the answer. */
  readonly timeoutMs: number;
  /**
   * Receives the server's Date (ms) of every answer, errors included: when the clocks differ there are only
   * errors.
   */
  readonly onServerTime: (at: number) => void;
}

const HEADERS = {
  'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
  accept: 'application/json',
};

/**
 * One signed POST. No redirects (they would carry the signature elsewhere), a limit on time and size. Throws
 * CloudError.
 */
export async function post(send: $Fetch, call: WireCall): Promise<WireBody> {
  const { command } = call;
  const signal = AbortSignal.timeout(call.timeoutMs);
  let response: Response;
  try {
    response = await send.raw(call.endpoint, { method: 'POST', body: call.form, headers: HEADERS, signal });
  } catch (error) {
    if (signal.aborted) throw networkError(signal.reason, command);
    throw networkError(error instanceof FetchError ? error.cause : error, command);
  }
  if (response.status >= 300 && response.status < 400)
    throw badAnswer(command, response.status, 'redirects are not followed; correct api_url');
  const date = Date.parse(response.headers.get('date') ?? '');
  if (!Number.isNaN(date)) call.onServerTime(date);
  return unwrap(command, response, await response.text());
}

function unwrap(command: string, { status, headers }: Response, text: string): WireBody {
  const parsed = envelope.safeParse(parseAnswer(text));
  const inner = parsed.success
    ? Object.entries(parsed.data).find(([name]) => name.endsWith('response'))?.[1]
    : undefined;
  const failed = errorBody.safeParse(inner);
  const retryAfterMs = delayOf(headers.get('retry-after'), Date.parse(headers.get('date') ?? ''));
  if (failed.success) {
    const { errorcode, cserrorcode, errortext } = failed.data;
    const csCode = cserrorcode ?? null;
    throw apiError({ httpStatus: status, code: errorcode, csCode, text: errortext, retryAfterMs });
  }
  const body = envelope.safeParse(inner);
  if (status === 200 && body.success) return body.data;
  if (status === 401 || status === 429)
    throw apiError({ httpStatus: status, code: status, csCode: null, text: `HTTP ${status}`, retryAfterMs });
  throw badAnswer(command, status, text.trim() === '' ? 'it is empty' : 'it is not the JSON of CloudStack');
}

/**
 * The Retry-After header (RFC 9110: seconds, or a date) in ms; null when there is none that makes sense. A
 * date is one of the server's clock, which `now`, of the same answer, shows: ours may be hours from it.
 */
function delayOf(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d{1,6}$/.test(header.trim())) return Number(header) * 1_000;
  const ms = Date.parse(header) - now;
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}
