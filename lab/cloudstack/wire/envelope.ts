import type { IncomingMessage } from 'node:http';
import { ApiError } from '../records';

/** `request.content.size` */
const BODY_LIMIT = 1024 * 1024;
const VERSION = '4.20.0.0';

export class BodyTooLarge extends Error {}

/** Throws BodyTooLarge beyond 1 MiB. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > BODY_LIMIT) throw new BodyTooLarge();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * Query and form parameters under the names they were sent with. A name without `=` is dropped from the
 * query; of a name that comes twice the last one counts; a body of another type than a form is not looked at.
 */
export function readParams(url: URL, contentType: string | undefined, body: string): Map<string, string> {
  const query = url.search
    .slice(1)
    .split('&')
    .filter((part) => part.includes('='))
    .join('&');
  const form = contentType?.toLowerCase().startsWith('application/x-www-form-urlencoded') ? body : '';
  return new Map([...new URLSearchParams(form), ...new URLSearchParams(query)]);
}

/**
 * What the command sees: names in lower case, except that the server knows `command` and
 * `response` only as they are.
 */
export function lowerCased(params: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...params].map(([name, value]) => [name.toLowerCase(), value]));
}

/** Throws 431 for control characters other than line ends. */
export function refuseControlCharacters(params: ReadonlyMap<string, string>): void {
  for (const [name, value] of params) {
    if (/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f]/.test(value))
      throw new ApiError(
        431,
        `Received value containing illegal ASCII non-printable characters for parameter ${name}`,
      );
  }
}

export interface Reply {
  readonly status: number;
  /** `listvolumesresponse`, or `errorresponse` when the command is not known. */
  readonly key: string;
  readonly body: unknown;
  /**
   * The text that `X-Description` repeats; null where the real server sends none: after success, and with
   * the 401 of a bad key.
   */
  readonly description: string | null;
}

export function success(command: string, body: unknown): Reply {
  return { status: 200, key: `${command.toLowerCase()}response`, body, description: null };
}

/** The HTTP status is the error code. 432 and unknown commands answer under `errorresponse`. */
export function failure(command: string, known: boolean, error: ApiError): Reply {
  const { code, csCode, message } = error;
  return {
    status: code,
    key: known && code !== 432 ? `${command.toLowerCase()}response` : 'errorresponse',
    body: {
      uuidList: [],
      errorcode: code,
      ...(csCode === null ? {} : { cserrorcode: csCode }),
      errortext: message,
    },
    description: csCode === null ? null : message,
  };
}

/**
 * The server's writer un-escapes every \uXXXX, so a control character inside a text comes out
 * raw: not quite JSON.
 */
export function asJson({ key, body }: Reply): string {
  return JSON.stringify({ [key]: body }).replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** What callers get that forget `response=json`. */
export function asXml({ key, body }: Reply): string {
  return `<?xml version="1.0" encoding="UTF-8"?><${key} cloud-stack-version="${VERSION}">${xml(body)}</${key}>`;
}

function xml(value: unknown): string {
  if (typeof value !== 'object' || value === null)
    return String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
  return Object.entries(value)
    .filter(([, one]) => one !== undefined)
    .flatMap(([name, one]) => (Array.isArray(one) ? one.map((item) => [name, item]) : [[name, one]]))
    .map(([name, one]) => `<${name}>${xml(one)}</${name}>`)
    .join('');
}
