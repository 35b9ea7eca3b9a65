import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { HttpCloud } from '~/server/cloudstack/http-cloud';
import { CloudSettings } from '~/server/cloudstack/settings';
import { type Clock, systemClock } from '~/server/core/clock';
import { type LogFields, type Logger, silentLogger } from '~/server/core/log/logger';
import type { OsseaConfigRow } from '~/server/model/ossea-config';

export interface CannedRequest {
  readonly method: string;
  readonly url: string;
  readonly parameters: URLSearchParams;
}

export interface CannedAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Instead of an answer: what the server does with the connection. */
  readonly socket?: (response: ServerResponse) => void;
}

type Script = (request: CannedRequest, index: number) => CannedAnswer;

export interface CannedServer {
  /** `http://127.0.0.1:<port>/client/api` */
  readonly url: string;
  readonly requests: CannedRequest[];
  /** What is answered from now on. */
  script: Script;
  stop(): Promise<void>;
}

/** A CloudStack that says what the test has written down, and remembers what it was asked. */
export async function startCannedServer(): Promise<CannedServer> {
  const canned: { script: Script } = { script: () => ({ status: 500 }) };
  const requests: CannedRequest[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const parameters = new URLSearchParams(await text(request));
    const seen = { method: request.method ?? '', url: request.url ?? '', parameters };
    requests.push(seen);
    const { status = 200, headers = {}, body = '', socket } = canned.script(seen, requests.length - 1);
    if (socket) return socket(response);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return Object.assign(canned, {
    url: `http://127.0.0.1:${address.port}/client/api`,
    requests,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  });
}

/** The envelope of a success. */
export function ok(command: string, content: unknown): CannedAnswer {
  return { body: JSON.stringify({ [`${command.toLowerCase()}response`]: content }) };
}

/** The envelope of an error: the HTTP status is the code. */
export function fails(command: string, code: number, errortext: string, cserrorcode = 4350): CannedAnswer {
  const content = { uuidList: [], errorcode: code, cserrorcode, errortext };
  return { status: code, body: JSON.stringify({ [`${command.toLowerCase()}response`]: content }) };
}

export function configRow(fields: Partial<OsseaConfigRow> = {}): OsseaConfigRow {
  return {
    id: '1',
    name: 'main',
    apiUrl: 'http://127.0.0.1:1',
    apiKey: 'the-api-key',
    secretKey: 'the-secret-key',
    domain: null,
    zone: null,
    diskOfferingId: null,
    omaVmId: null,
    projectId: null,
    account: null,
    domainId: null,
    isActive: true,
    updatedAt: null,
    ...fields,
  };
}

export interface CannedClient {
  readonly cloud: HttpCloud;
  readonly settings: CloudSettings;
  /** The rows of ossea_configs as the next reading finds them. */
  rows: OsseaConfigRow[];
  /** How often they were read. */
  readings: number;
  readonly warnings: LogFields[];
  readonly secrets: string[];
}

/** The real client with the rows of a test instead of a table. */
export function cannedClient(
  rows: OsseaConfigRow[],
  encryptionKey: Buffer | null = null,
  { clock = systemClock, ca = null }: { readonly clock?: Clock; readonly ca?: string | null } = {},
): CannedClient {
  const state = { rows, readings: 0 };
  const warnings: LogFields[] = [];
  const secrets: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_message, fields = {}) => void warnings.push(fields) };
  const settings = new CloudSettings({
    readRows: async () => {
      state.readings += 1;
      return state.rows;
    },
    encryptionKey,
    register: (secret) => void secrets.push(secret),
    clock,
    logger,
  });
  const cloud = new HttpCloud({ settings, clock, logger, ca });
  return Object.assign(state, { cloud, settings, warnings, secrets });
}
