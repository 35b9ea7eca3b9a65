import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Clock, systemClock, systemRandom } from '~/server/core/clock';
import { messageOf } from '~/server/core/errors';
import { NO_GUEST, type SimulatedGuest } from '../guest/guest';
import { COMMANDS } from './commands';
import { isDenied } from './commands/params';
import { handleControl } from './control';
import { CALL_FAULTS, type Faults } from './faults';
import { CloudModel, type ModelOptions } from './model';
import { ApiError } from './records';
import type { Account } from './state/accounts';
import { internal, toldTo, unauthorized, unavailable } from './state/texts';
import {
  BodyTooLarge,
  failure,
  lowerCased,
  type Reply,
  readBody,
  readParams,
  refuseControlCharacters,
  success,
} from './wire/envelope';
import { strikeBefore, writeReply } from './wire/reply';
import { type Credentials, checkSignature } from './wire/signature';

export interface SimulatorOptions extends Partial<Omit<ModelOptions, 'guest'>> {
  readonly guest?: SimulatedGuest;
  readonly port?: number;
  /** As the server setting `enforce.post.requests.and.timestamps`. */
  readonly enforcePost?: boolean;
  /** Commands that the roles lack beyond what a user lacks anyway. */
  readonly denied?: readonly string[];
  readonly apiKey?: string;
  readonly secretKey?: string;
}

export interface Simulator {
  /** With /client/api. */
  readonly url: string;
  readonly port: number;
  /** Of the account that owns the appliance. */
  readonly apiKey: string;
  readonly secretKey: string;
  /** Of every account, by its name. */
  readonly keys: Readonly<Record<string, Credentials>>;
  readonly zoneId: string;
  /** Of the offering with a custom size. */
  readonly diskOfferingId: string;
  /** Of the offering with a fixed size. */
  readonly fixedOfferingId: string;
  readonly applianceVmId: string;
  readonly model: CloudModel;
  readonly faults: Faults;
  stop(): Promise<void>;
}

interface Server {
  readonly model: CloudModel;
  readonly clock: Clock;
  readonly keys: ReadonlyMap<Account, Credentials>;
  readonly enforcePost: boolean;
  readonly denied: readonly string[];
}

/**
 * CloudStack's API on a free port of 127.0.0.1: signatures, envelopes, async jobs, errors, and a
 * fault port beside it.
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { guest = NO_GUEST, clock = systemClock, random = systemRandom } = options;
  const model = new CloudModel({ ...options, guest, clock, random });
  const keys = new Map<Account, Credentials>();
  for (const account of model.accounts.all) keys.set(account, newKey());
  const { apiKey, secretKey } = { ...newKey(), ...given(options) };
  keys.set(model.account, { apiKey, secretKey });
  const { enforcePost = false, denied = [] } = options;
  const parts: Server = { model, clock, keys, enforcePost, denied };
  const server = createServer((request, response) => {
    // The real server says no time.
    response.sendDate = false;
    answer(parts, request, response).catch(() => response.destroy());
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return {
    url: `http://127.0.0.1:${address.port}/client/api`,
    port: address.port,
    apiKey,
    secretKey,
    keys: Object.fromEntries([...keys].map(([{ name }, key]) => [name, key])),
    zoneId: model.inventory.firstZone().id,
    diskOfferingId: model.offerings.find(({ customized }) => customized)?.id ?? '',
    fixedOfferingId: model.offerings.find(({ customized }) => !customized)?.id ?? '',
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

function newKey(): Credentials {
  const text = () => randomBytes(32).toString('base64url');
  return { apiKey: text(), secretKey: text() };
}

function given({ apiKey, secretKey }: SimulatorOptions): Partial<Credentials> {
  return { ...(apiKey === undefined ? {} : { apiKey }), ...(secretKey === undefined ? {} : { secretKey }) };
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
  const { model } = server;
  return model.exchange(command, async () => {
    let account: Account | null = null;
    try {
      account = await authenticate(server, command, params);
      return success(command, await run(server, method, command, params, account));
    } catch (error) {
      const known = error instanceof ApiError ? error : internal(messageOf(error));
      return failure(command, COMMANDS.has(command), account === null ? known : toldTo(account, known));
    }
  });
}

/**
 * Whose key it is. Throws 401, also when the server cannot look the key up, and for commands that nobody
 * knows.
 */
async function authenticate(
  { model, keys, clock, enforcePost }: Server,
  command: string,
  params: ReadonlyMap<string, string>,
): Promise<Account> {
  const apiKey = lowerCased(params).get('apikey');
  const [account, key] = [...keys].find(([, one]) => one.apiKey === apiKey) ?? [];
  const lockout = model.conditions.lockout(account);
  if (lockout !== null) {
    await model.sleep(lockout.delayMs);
    throw unauthorized();
  }
  if (!account || !key) throw unauthorized();
  checkSignature(params, key, clock.now(), enforcePost);
  if (!COMMANDS.has(command) && !isDenied(command, { account, denied: [] })) throw unauthorized();
  return account;
}

async function run(
  { model, denied, enforcePost }: Server,
  method: string,
  command: string,
  params: ReadonlyMap<string, string>,
  account: Account,
): Promise<unknown> {
  const caller = { account, denied };
  if (isDenied(command, caller)) throw unavailable(command, account);
  if (enforcePost && method !== 'POST' && !/^(get|list|query|find)\w+$/.test(command))
    throw new ApiError(400, `State changing command ${command} needs to be sent using POST request`);
  refuseControlCharacters(params);
  return COMMANDS.get(command)?.(model, lowerCased(params), caller);
}
