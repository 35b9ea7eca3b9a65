import type { Agent } from 'node:https';
import { ofetch } from 'ofetch';
import { z } from 'zod';
import { LIMITS } from '../../core/limits';
import { CloudError } from '../cloud';
import { apiError, badAnswer, networkError } from '../errors';
import { fetchThrough } from './fetch-through';

const errorBody = z.object({
  errorcode: z.coerce.number(),
  cserrorcode: z.coerce.number().optional(),
  errortext: z.string().default('no text'),
});
const envelope = z.record(z.string(), z.unknown());

/** The content of the `<command>response` envelope. */
export type WireBody = Readonly<Record<string, unknown>>;

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
  /** For https to a server whose certificate was signed by a private CA. */
  readonly agent?: Agent | null;
}

const HEADERS = {
  'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
  accept: 'application/json',
};

/**
 * One signed POST. No redirects (they would carry the signature elsewhere), no retries (the caller knows what
 * is safe), a limit on time and size. Throws CloudError.
 */
export async function post(call: WireCall): Promise<WireBody> {
  const { command } = call;
  let response: Response;
  let text: string;
  const signal = AbortSignal.timeout(call.timeoutMs);
  try {
    const init = { method: 'POST', body: call.form, headers: HEADERS, signal };
    response =
      call.agent && call.endpoint.startsWith('https:')
        ? await fetchThrough(call.agent, call.endpoint, init)
        : await ofetch.native(call.endpoint, { ...init, redirect: 'manual' });
    text = await readBounded(response, command);
  } catch (error) {
    if (error instanceof CloudError) throw error;
    throw networkError(signal.aborted ? signal.reason : error, command);
  }
  if (response.status >= 300 && response.status < 400)
    throw badAnswer(command, response.status, 'redirects are not followed; correct api_url');
  const date = Date.parse(response.headers.get('date') ?? '');
  if (!Number.isNaN(date)) call.onServerTime(date);
  return unwrap(command, response, text);
}

async function readBounded(response: Response, command: string): Promise<string> {
  if (!response.body) return '';
  // An uncompressed answer with a Content-Length cannot be longer, and is much cheaper to read at once.
  const announced = Number(response.headers.get('content-length') ?? Number.NaN);
  if (announced <= LIMITS.CLOUDSTACK_ANSWER_BYTES && !response.headers.has('content-encoding'))
    return response.text();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > LIMITS.CLOUDSTACK_ANSWER_BYTES)
      throw badAnswer(
        command,
        response.status,
        `the answer is larger than ${LIMITS.CLOUDSTACK_ANSWER_BYTES} bytes`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function unwrap(command: string, { status, headers }: Response, text: string): WireBody {
  const parsed = envelope.safeParse(parseLenient(text));
  const inner = parsed.success
    ? Object.entries(parsed.data).find(([name]) => name.endsWith('response'))?.[1]
    : undefined;
  const failed = errorBody.safeParse(inner);
  const retryAfterMs = delayOf(headers.get('retry-after'));
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

/** The Retry-After header (RFC 9110: seconds, or a date) in ms; null when there is none that makes sense. */
function delayOf(header: string | null): number | null {
  if (header === null) return null;
  if (/^\d{1,6}$/.test(header.trim())) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}

/**
 * CloudStack un-escapes \uXXXX when it writes JSON, so there can be raw control characters: they are removed
 * and the text parsed again.
 */
function parseLenient(text: string): unknown {
  for (const candidate of [text, text.replace(/[\u0000-\u001f]/g, ' ')]) {
    try {
      return JSON.parse(candidate);
    } catch {
      // tried again below
    }
  }
  return undefined;
}
