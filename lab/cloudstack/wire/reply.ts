import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { CallFault, Fault } from '../faults';
import type { CloudModel } from '../model';
import { ApiError } from '../records';
import { textOf } from '../state/texts';
import { asJson, asXml, failure, type Reply } from './envelope';

const RETRY_AFTER = 50;
/** Codes that no CloudStack sends: what stands in front of it does. */
const PROXY_CODES = [500, 502, 503, 504];

/** The error that the faults `status` and `status-after-effect` answer with. */
export function errorOf({ code = 503, text, ms = RETRY_AFTER }: Fault): ApiError {
  return new ApiError(code, text ?? textOf(code, ms), code === 401 ? null : 9999);
}

/** Faults that come before the call or take its place. True when the request has been dealt with. */
export async function strikeBefore(
  fault: Fault<CallFault>,
  command: string,
  socket: Socket,
  response: ServerResponse,
  model: CloudModel,
): Promise<boolean> {
  switch (fault.kind) {
    case 'fail-before-effect':
      socket.resetAndDestroy();
      return true;
    case 'status':
      if (PROXY_CODES.includes(fault.code ?? 503)) sendPage(response, fault.code ?? 503);
      else sendError(response, command, fault);
      return true;
    case 'html':
      sendPage(response, fault.code ?? 503);
      return true;
    case 'delay':
      await model.sleep(fault.ms ?? 100);
      return model.isStopped;
    default:
      return false;
  }
}

interface Sending {
  readonly reply: Reply;
  readonly json: boolean;
  readonly fault: Fault<CallFault> | null;
  readonly command: string;
  readonly model: CloudModel;
}

/** Sends the reply, or what the fault makes of it. */
export async function writeReply(sending: Sending, socket: Socket, response: ServerResponse): Promise<void> {
  const { reply, json, fault, command, model } = sending;
  const text = json ? asJson(reply) : asXml(reply);
  switch (fault?.kind) {
    case 'drop-reply-after-effect':
      socket.destroy();
      return;
    case 'status-after-effect':
      sendError(response, command, fault);
      return;
    case 'late-reply':
      await model.sleep(fault.ms ?? 1000);
      break;
    default:
      break;
  }
  response.writeHead(reply.status, {
    ...headers(reply, json),
    ...(fault?.kind === 'duplicate-reply' ? { 'content-length': Buffer.byteLength(text) } : {}),
  });
  switch (fault?.kind) {
    case 'garbage':
      response.end(text.slice(0, text.length / 2));
      return;
    case 'control-characters':
      response.end(text.replaceAll('":"', '":"\u0001\u001f'));
      return;
    case 'duplicate-reply':
      // What follows the promised length is a whole second answer that nobody has asked for.
      response.end(`${text}HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
      return;
    case 'slow-bytes':
      await trickle(response, text, fault.ms ?? 1000, model);
      return;
    default:
      response.end(text);
  }
}

async function trickle(response: ServerResponse, text: string, ms: number, model: CloudModel): Promise<void> {
  for (const character of text) {
    if (response.destroyed) return;
    response.write(character);
    await model.sleep(ms / text.length);
  }
  response.end();
}

function sendError(response: ServerResponse, command: string, fault: Fault): void {
  const reply = failure(command, command !== '', errorOf(fault));
  response.writeHead(reply.status, headers(reply, true)).end(asJson(reply));
}

/** As the real server sends them; there is no Date. */
function headers({ description }: Reply, json: boolean): Record<string, string> {
  return {
    'content-type': json ? 'application/json;charset=utf-8' : 'text/xml;charset=utf-8',
    'x-content-type-options': 'nosniff',
    'x-xss-protection': '1;mode=block',
    ...(description === null ? {} : { 'x-description': headerText(description) }),
  };
}

function sendPage(response: ServerResponse, code: number): void {
  response
    .writeHead(code, { 'content-type': 'text/html' })
    .end(`<html><body><h1>${code} Service Unavailable</h1></body></html>`);
}

/** Headers hold printable Latin-1 only. */
function headerText(text: string): string {
  return text.replace(/[^\u0020-\u007e\u00a0-\u00ff]/g, '?');
}
