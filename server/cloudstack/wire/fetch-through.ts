import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { urlToHttpOptions } from 'node:url';
import { createUnzip } from 'node:zlib';
import { LIMITS } from '../../core/limits';
import { CONNECT_TIMEOUT } from '../errors';

/** The connections that are kept, by scheme. */
export interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** @param ca PEM certificates of CAs to trust in addition to the usual ones */
export function createAgents(ca: string | null = null): Agents {
  // Left alone, a connection ends before the server ends it: that one is not closed just as it is used.
  const kept = { keepAlive: true, timeout: LIMITS.CLOUDSTACK_IDLE_MS };
  return {
    http: new HttpAgent(kept),
    https: new HttpsAgent(ca === null ? kept : { ...kept, ca: [...rootCertificates, ca] }),
  };
}

/**
 * A fetch over kept connections of node:http, for texts. Never follows redirects, sends the request
 * once, asks for no compression, and has read the answer when it resolves. Node's own costs several
 * times the processor time for each call, because it makes a stream of everything, and cannot be given
 * CAs without the undici package.
 */
export function fetchThrough(agents: Agents): typeof fetch {
  // There is one CloudStack, so its address is taken apart once.
  let known: { readonly url: string; readonly address: RequestOptions } = { url: '', address: {} };
  const addressOf = (url: string) => {
    if (known.url !== url) known = { url, address: urlToHttpOptions(new URL(url)) };
    return known.address;
  };
  return (url, { method = 'GET', headers, body, signal } = {}) =>
    new Promise((resolve, reject) => {
      const address = addressOf(String(url));
      const content = typeof body === 'string' ? body : '';
      const options = {
        ...address,
        method,
        headers: {
          ...Object.fromEntries(headers instanceof Headers ? headers : new Headers(headers)),
          'accept-encoding': 'identity',
          'content-length': Buffer.byteLength(content),
        },
        ...(signal ? { signal } : {}),
      };
      const sent =
        address.protocol === 'https:'
          ? httpsRequest({ ...options, agent: agents.https })
          : httpRequest({ ...options, agent: agents.http });
      sent.on('response', (answer) => {
        read(answer)
          .then((text) => resolve(new ReadResponse(text, answer)))
          .catch((error: unknown) => {
            sent.destroy();
            reject(error);
          });
      });
      sent.on('socket', (socket) => {
        if (!socket.connecting) return;
        const timer = setTimeout(
          () => sent.destroy(Object.assign(new Error('no connection'), { code: CONNECT_TIMEOUT })),
          LIMITS.CLOUDSTACK_CONNECT_TIMEOUT_MS,
        );
        const connected = address.protocol === 'https:' ? 'secureConnect' : 'connect';
        socket.once(connected, () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
      });
      sent.on('error', reject);
      sent.end(content);
    });
}

/** The headers of an answer that anybody looks at: every further one costs each call. */
const HEARD = ['date', 'retry-after'] as const;

/** A response that has been read: no stream is made for its text. */
class ReadResponse extends Response {
  constructor(
    private readonly content: string,
    { statusCode, headers }: IncomingMessage,
  ) {
    const fields = HEARD.flatMap((name): [string, string][] => {
      const value = headers[name];
      return value === undefined ? [] : [[name, value]];
    });
    super(null, { status: statusCode ?? 0, headers: fields });
  }

  override readonly text = () => Promise.resolve(this.content);
}

/** To its end, at most CLOUDSTACK_ANSWER_BYTES; unpacked where something on the way compresses unasked. */
function read(answer: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const packed = /gzip|deflate/i.test(answer.headers['content-encoding'] ?? '');
    const plain: Readable = packed
      ? pipeline(answer, createUnzip(), (error) => (error ? reject(error) : undefined))
      : answer;
    const chunks: Buffer[] = [];
    let size = 0;
    plain.on('data', (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > LIMITS.CLOUDSTACK_ANSWER_BYTES)
        plain.destroy(new Error(`the answer is larger than ${LIMITS.CLOUDSTACK_ANSWER_BYTES} bytes`));
    });
    plain.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    plain.on('error', reject);
  });
}
