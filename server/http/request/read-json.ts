import type { IncomingMessage } from 'node:http';
import type { H3Event } from 'h3';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { repeatedNames } from './repeated-names';
import { requestHeader } from './request-header';

interface Json {
  /** Undefined when there is no body. */
  readonly value: unknown;
  /** Names that are given more than once. */
  readonly repeated: readonly string[];
}

export const NO_JSON: Json = { value: undefined, repeated: [] };

/**
 * The JSON body of a request. The content type is mostly ignored: existing
 * callers send JSON as `application/x-www-form-urlencoded` (curl -d) or without any type. 415 is for what is
 * clearly not JSON: multipart, compressed bodies, and text that neither parses nor claims to be JSON or a
 * plain form.
 * Errors: BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, MALFORMED_JSON.
 */
export async function readJson(event: H3Event): Promise<Json> {
  const type = (requestHeader(event, 'content-type') ?? '').toLowerCase();
  const encoding = (requestHeader(event, 'content-encoding') ?? 'identity').toLowerCase();
  const raw = await readBytes(event.node.req, LIMITS.BODY_BYTES);
  if (raw.length === 0) return NO_JSON;
  if (encoding !== 'identity')
    throw unsupported(`content encoding ${encoding.slice(0, 40)} is not supported`);
  if (type.startsWith('multipart/')) throw unsupported('a multipart body is not supported');
  const text = decode(raw);
  if (text.trim() === '') return NO_JSON;
  try {
    return { value: JSON.parse(text), repeated: repeatedNames(text) };
  } catch {
    if (claimsAnotherType(type)) throw unsupported('the body is not JSON and does not say it is');
    throw new DaemonError('MALFORMED_JSON', 'The body is not valid JSON');
  }
}

/** Counts what has arrived, so the limit also applies to chunked bodies, which have no Content-Length. */
function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const settle = (finish: () => void) => {
      request.off('data', take).off('end', end).off('error', broken).off('close', broken);
      // Discard the rest, so that the client can finish sending and read the response.
      request.on('error', () => {});
      request.resume();
      finish();
    };
    const take = (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) settle(() => reject(bodyTooLarge()));
      else chunks.push(chunk);
    };
    const end = () => settle(() => resolve(Buffer.concat(chunks)));
    const broken = () => settle(() => reject(new DaemonError('MALFORMED_JSON', 'The body ended early')));
    request.on('data', take).on('end', end).on('error', broken).on('close', broken);
  });
}

export function bodyTooLarge(): DaemonError {
  return new DaemonError('BODY_TOO_LARGE', `The body is larger than ${LIMITS.BODY_BYTES} bytes`, {
    details: { limit: LIMITS.BODY_BYTES },
  });
}

function decode(raw: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(raw);
  } catch {
    throw new DaemonError('MALFORMED_JSON', 'The body is not UTF-8');
  }
}

function claimsAnotherType(type: string): boolean {
  return type !== '' && !/json|text\/plain|x-www-form-urlencoded|octet-stream/.test(type);
}

function unsupported(why: string): DaemonError {
  return new DaemonError('UNSUPPORTED_MEDIA_TYPE', `Unsupported media type: ${why}; send JSON`);
}
