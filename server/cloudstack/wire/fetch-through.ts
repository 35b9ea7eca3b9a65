import { type Agent, request } from 'node:https';
import { Readable } from 'node:stream';

interface Request {
  readonly method: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * fetch over an agent of node:https, which may trust further CAs: Node's own fetch cannot be given any
 * without the undici package. Never follows redirects, sends the request once, and requests no compression.
 */
export function fetchThrough(agent: Agent, url: string, init: Request): Promise<Response> {
  const { method, body, signal } = init;
  const headers = { ...init.headers, 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, method, headers, signal }, (answer) => {
      const { statusCode = 0 } = answer;
      const withoutBody = statusCode === 204 || statusCode === 304;
      const fields = Object.entries(answer.headers).flatMap(([name, value]): [string, string][] =>
        value === undefined ? [] : [[name, String(value)]],
      );
      try {
        resolve(
          // Node's type of a web stream and the DOM's differ in name only.
          new Response(withoutBody ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>), {
            status: statusCode,
            headers: fields,
          }),
        );
      } catch (error) {
        answer.destroy();
        reject(error);
      }
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
