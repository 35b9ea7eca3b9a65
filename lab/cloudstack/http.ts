import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { systemClock, systemRandom } from '~/server/runtime/clock';
import type { SimulatedGuest } from '../guest/guest';
import { COMMANDS } from './commands';
import { handleControl } from './control';
import type { Fault } from './faults';
import { CloudModel, type ModelOptions } from './model';
import { ApiError } from './records';
import { checkSignature } from './signature';

const BODY_LIMIT = 1024 * 1024;

export interface SimulatorOptions extends Partial<Omit<ModelOptions, 'guest'>> {
  readonly guest?: SimulatedGuest;
  readonly port?: number;
  /** As the server setting `enforce.post.requests.and.timestamps`. */
  readonly enforcePost?: boolean;
  readonly apiKey?: string;
  readonly secretKey?: string;
}

export interface Simulator {
  /** With /client/api. */
  readonly url: string;
  readonly port: number;
  readonly apiKey: string;
  readonly secretKey: string;
  readonly zoneId: string;
  readonly diskOfferingId: string;
  readonly applianceVmId: string;
  readonly model: CloudModel;
  stop(): Promise<void>;
}

const NOWHERE: SimulatedGuest = {
  plug: async () => {},
  unplug: async () => {},
  resize: async () => {},
  plugged: () => [],
};

/** CloudStack's API on a free port of 127.0.0.1: signatures, envelopes, async jobs, errors, and a fault port beside it. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { guest = NOWHERE, clock = systemClock, random = systemRandom } = options;
  const model = new CloudModel({ ...options, guest, clock, random });
  const credentials = {
    apiKey: options.apiKey ?? randomBytes(32).toString('base64url'),
    secretKey: options.secretKey ?? randomBytes(32).toString('base64url'),
  };
  const server = createServer((request, response) => {
    answer(model, credentials, options.enforcePost === true, request, response).catch(() =>
      response.destroy(),
    );
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  const [offering] = model.offerings;
  return {
    url: `http://127.0.0.1:${address.port}/client/api`,
    port: address.port,
    ...credentials,
    zoneId: model.zone().id,
    diskOfferingId: offering?.id ?? '',
    applianceVmId: model.applianceVmId,
    model,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function answer(
  model: CloudModel,
  credentials: { apiKey: string; secretKey: string },
  enforcePost: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const body = request.method === 'POST' ? await readBody(request) : '';
  if (!url.pathname.startsWith('/client/api')) {
    handleControl(model, request.method ?? 'GET', url, body, response);
    return;
  }
  const params = [
    ...url.searchParams,
    ...(request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
      ? new URLSearchParams(body)
      : []),
  ];
  const command = params.find(([name]) => name === 'command')?.[1] ?? '';
  const fault = model.faults.takeCall(command);
  if (fault && (await strikeBefore(fault, response))) return;
  const reply = await execute(model, credentials, enforcePost, request.method === 'POST', command, params);
  if (fault?.kind === 'drop-reply-after-effect') return void response.destroy();
  await send(response, command, reply, fault);
}

interface Reply {
  readonly status: number;
  readonly key: string;
  readonly body: unknown;
}

async function execute(
  model: CloudModel,
  credentials: { apiKey: string; secretKey: string },
  enforcePost: boolean,
  isPost: boolean,
  command: string,
  params: [string, string][],
): Promise<Reply> {
  const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  const key = run ? `${command.toLowerCase()}response` : 'errorresponse';
  try {
    checkSignature(params, credentials, Date.now());
    if (!run)
      throw new ApiError(
        432,
        `The given command '${command}' either does not exist, is not available for user, or not available from ip address`,
      );
    const changes = !/^(get|list|query|find)\w+$/.test(command);
    if (enforcePost && changes && !isPost)
      throw new ApiError(400, `State changing command ${command} needs to be sent using POST request`);
    const lower = new Map(params.map(([name, value]) => [name.toLowerCase(), value]));
    for (const [name, value] of lower) {
      if (/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f]/.test(value))
        throw new ApiError(
          431,
          `Received value containing illegal ASCII non-printable characters for parameter ${name}`,
        );
    }
    return { status: 200, key, body: await run(model, lower) };
  } catch (error) {
    const known =
      error instanceof ApiError
        ? error
        : new ApiError(530, error instanceof Error ? error.message : String(error), 4250);
    return {
      status: known.code,
      key: known.code === 432 ? 'errorresponse' : key,
      body: {
        uuidList: [],
        errorcode: known.code,
        ...(known.csCode === null ? {} : { cserrorcode: known.csCode }),
        errortext: known.message,
      },
    };
  }
}

/** Faults that take the place of the call. True when the request has been dealt with. */
async function strikeBefore(fault: Fault, response: ServerResponse): Promise<boolean> {
  switch (fault.kind) {
    case 'fail-before-effect':
      response.destroy();
      return true;
    case 'status': {
      const code = fault.code ?? 503;
      const text =
        fault.text ??
        (code === 429
          ? 'The given user has reached his/her account api limit, please retry after [50] ms.'
          : 'Failed for the test');
      response.writeHead(code, { 'content-type': 'application/json' }).end(
        JSON.stringify({
          errorresponse: { uuidList: [], errorcode: code, cserrorcode: 9999, errortext: text },
        }),
      );
      return true;
    }
    case 'html':
      response
        .writeHead(fault.code ?? 503, { 'content-type': 'text/html' })
        .end('<html><body>Service Unavailable</body></html>');
      return true;
    case 'delay':
      await systemClock.sleep(fault.ms ?? 100);
      return false;
    default:
      return false;
  }
}

async function send(
  response: ServerResponse,
  command: string,
  reply: Reply,
  fault: Fault | null,
): Promise<void> {
  let text = JSON.stringify({ [reply.key]: reply.body });
  if (fault?.kind === 'garbage') text = text.slice(0, text.length / 2);
  if (fault?.kind === 'control-characters') text = text.replace('"name":"', '"name":"\u0001\t');
  response.writeHead(reply.status, {
    'content-type': 'application/json; charset=UTF-8',
    ...(reply.status === 200 ? {} : { 'x-description': encodeURIComponent(command) }),
  });
  if (fault?.kind !== 'slow-bytes') return void response.end(text);
  for (const character of text) {
    response.write(character);
    await systemClock.sleep((fault.ms ?? 1000) / text.length);
  }
  response.end();
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > BODY_LIMIT) throw new Error('too large');
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}
