import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Clock, systemClock, systemRandom } from '~/server/core/clock';
import { messageOf } from '~/server/core/errors';
import { NO_GUEST, type SimulatedGuest } from '../guest/guest';
import { COMMANDS } from './commands';
import { handleControl } from './control';
import { CALL_FAULTS, type Faults } from './faults';
import { CloudModel, type ModelOptions } from './model';
import { ApiError } from './records';
import { strikeBefore, writeReply } from './reply';
import { type Credentials, checkSignature } from './signature';
import { internal, unauthorized, unavailable } from './texts';
import {
  BodyTooLarge,
  failure,
  lowerCased,
  type Reply,
  readBody,
  readParams,
  refuseControlCharacters,
  success,
} from './wire';

export interface SimulatorOptions extends Partial<Omit<ModelOptions, 'guest'>> {
  readonly guest?: SimulatedGuest;
  readonly port?: number;
  /** As the server setting `enforce.post.requests.and.timestamps`. */
  readonly enforcePost?: boolean;
  /** Commands the role of the key lacks. */
  readonly denied?: readonly string[];
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
  /** Of the offering with a custom size. */
  readonly diskOfferingId: string;
  readonly applianceVmId: string;
  readonly model: CloudModel;
  readonly faults: Faults;
  stop(): Promise<void>;
}

interface Server {
  readonly model: CloudModel;
  readonly clock: Clock;
  readonly credentials: Credentials;
  readonly enforcePost: boolean;
  readonly denied: readonly string[];
}

/** CloudStack's API on a free port of 127.0.0.1: signatures, envelopes, async jobs, errors, and a fault port beside it. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { guest = NO_GUEST, clock = systemClock, random = systemRandom } = options;
  const model = new CloudModel({ ...options, guest, clock, random });
  const credentials = {
    apiKey: options.apiKey ?? randomBytes(32).toString('base64url'),
    secretKey: options.secretKey ?? randomBytes(32).toString('base64url'),
  };
  const { enforcePost = false, denied = [] } = options;
  const parts: Server = { model, clock, credentials, enforcePost, denied };
  const server = createServer((request, response) => {
    answer(parts, request, response).catch(() => response.destroy());
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return {
    url: `http://127.0.0.1:${address.port}/client/api`,
    port: address.port,
    ...credentials,
    zoneId: model.inventory.firstZone().id,
    diskOfferingId: model.offerings.find(({ customized }) => customized)?.id ?? '',
    applianceVmId: model.applianceVmId,
    model,
    faults: model.faults,
    stop: async () => {
      model.stop();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function answer(server: Server, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { model } = server;
  const url = new URL(request.url ?? '/', 'http://localhost');
  const method = request.method ?? 'GET';
  let body: string;
  try {
    body = await readBody(request);
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error;
    response
      .writeHead(413, { 'content-type': 'text/html', connection: 'close' })
      .end('<html>too large</html>');
    return;
  }
  if (url.pathname !== '/client/api') {
    await handleControl(model, { method, url, body }, response);
    return;
  }
  if (method !== 'GET' && method !== 'POST') {
    response.writeHead(405, { allow: 'GET, POST' }).end();
    return;
  }
  if (model.isDown()) {
    request.socket.resetAndDestroy();
    return;
  }
  const params = readParams(url, request.headers['content-type'], body);
  const command = params.get('command') ?? '';
  const fault = model.faults.take(command, CALL_FAULTS);
  if (fault && (await strikeBefore(fault, command, request.socket, response, model))) return;
  let reply = await execute(server, method, command, params);
  if (fault?.kind === 'duplicate-request') reply = await execute(server, method, command, params);
  const json = params.get('response') === 'json';
  await writeReply({ reply, json, fault, command, model }, request.socket, response);
}

/** One request, as the server treats it: who, what, then the command. */
function execute(
  server: Server,
  method: string,
  command: string,
  params: ReadonlyMap<string, string>,
): Promise<Reply> {
  const { model, credentials, enforcePost, clock } = server;
  const run = COMMANDS.get(command);
  return model.exchange(command, async () => {
    try {
      checkSignature(params, credentials, clock.now(), enforcePost);
      if (command === '') throw new ApiError(432, 'Invalid request, no command sent');
      if (!run) throw unauthorized();
      if (server.denied.includes(command)) throw unavailable(command);
      if (enforcePost && method !== 'POST' && !/^(get|list|query|find)\w+$/.test(command))
        throw new ApiError(400, `State changing command ${command} needs to be sent using POST request`);
      refuseControlCharacters(params);
      return success(command, await run(model, lowerCased(params), server.denied));
    } catch (error) {
      const known = error instanceof ApiError ? error : internal(messageOf(error));
      return failure(command, run !== undefined, known);
    }
  });
}
