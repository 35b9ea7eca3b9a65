import { readFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endpoints } from '~/server/http/endpoints/registry';
import { openApiDocument } from '~/server/http/openapi';
import { type Answer, checkDeclared, collect, endpointOf } from '~/test/support/http-app';
import { Walk } from '../../integration/daemon/walk';
import { type FuzzRequest, type Known, RequestMaker } from './fuzz/request-maker';
import { SeededRandom } from './fuzz/seeded-random';
import { sendMalformed } from './fuzz/send-malformed';

/**
 * Generated requests to the built daemon on a real database: valid, almost valid, hostile, and not HTTP at
 * all. `npm run fuzz` sends 50,000; FUZZ_REQUESTS sets the number, FUZZ_SEED repeats a finding.
 */
const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 5_000);
const SEED = Number(process.env.FUZZ_SEED ?? 20_250_819);
const CONNECTIONS = 24;
/** Resident memory under this load. */
const MEMORY_MAX_MIB = 400;
const LONG_RUN_REQUESTS = 20_000;
const FINDINGS_SHOWN = 25;
/** Every twelfth is malformed, written to a raw socket. */
const MALFORMED_EVERY = 12;

let walk: Walk;
let known: Known;
let slow: Promise<string>[] = [];
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

beforeAll(async () => {
  walk = await Walk.begin({ env: { NBD_BACKEND: 'none', LOG_LEVEL: 'error' } });
  const other = walk.lab.cloud.model.addVm({ name: 'other' }).id;
  const volumes = [await walk.create('one'), await walk.create('two')] as const;
  await walk.attach(volumes[0]);
  slow = SLOW.map((text) => sendAndListen(text));
  const operations = await walk.api.get<{ id: string }[]>('/api/v1/operations');
  const [first = '', ...rest] = operations.map(({ id }) => id);
  known = {
    volumes: [...volumes, '00000000-0000-4000-8000-000000000000'],
    vms: [walk.appliance, other],
    operations: [first, ...rest],
    zone: walk.lab.cloud.zoneId,
    offering: walk.lab.cloud.diskOfferingId,
  };
});
afterAll(async () => {
  agent.destroy();
  await walk?.close();
});

const document = JSON.parse(JSON.stringify(openApiDocument('fuzz'))) as {
  paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
};

/** Requests that never end: in their headers, and in their body. */
const SLOW = [
  'GET /health HTTP/1.1\r\nHost: localhost\r\nX: ',
  'POST /api/v1/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{',
];

/** All that the server sends until it closes the connection. */
function sendAndListen(text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const socket = connect(walk.daemon.port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => {
      heard += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(heard));
  });
}

/** Sends a request and reads the response; of an event stream only the headers. */
function exchange(asked: FuzzRequest): Promise<Answer> {
  const { method, path, headers, body } = asked;
  return new Promise((resolve, reject) => {
    const framed = body === null ? headers : { 'content-length': String(body.length), ...headers };
    const sending = request(
      { port: walk.daemon.port, host: '127.0.0.1', agent, method, path, headers: framed },
      (response: IncomingMessage) => {
        if (response.headers['content-type'] !== 'text/event-stream') {
          collect(response).then(resolve, reject);
          return;
        }
        response.on('error', () => undefined);
        response.destroy();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: '', json: undefined });
      },
    );
    // The server may close an idle connection just as it is reused: then the request is sent again.
    sending.on('error', (error: NodeJS.ErrnoException) => {
      if (sending.reusedSocket && error.code === 'ECONNRESET') exchange(asked).then(resolve, reject);
      else reject(error);
    });
    sending.end(body ?? undefined);
  });
}

/** Checks what every response must have. */
function check(sent: FuzzRequest, answer: Answer, secrets: readonly string[]): void {
  const { method, path } = sent;
  const { status, headers, text } = answer;
  expect(status < 500 || status === 503, `${status}`).toBe(true);
  checkDeclared(method, path, answer);
  const found = endpointOf(method === 'HEAD' ? 'GET' : method, path);
  // Event streams have no HEAD.
  const endpoint = method === 'HEAD' && found?.reply.contentType === 'text/event-stream' ? undefined : found;
  const promised = endpoint && document.paths[endpoint.path]?.[endpoint.method.toLowerCase()]?.responses;
  if (promised) expect(Object.keys(promised), 'documented statuses').toContain(String(status));
  expect(headers['x-content-type-options']).toBe('nosniff');
  expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect(headers['access-control-allow-origin']).toBeUndefined();
  if (method === 'HEAD' || status === 304) expect(text).toBe('');
  expect(text, 'no stack trace').not.toMatch(/\bat .+\.m?[jt]s:\d+|node_modules/);
  for (const secret of secrets) expect(text.includes(secret), 'no secret').toBe(false);
}

/** Resident memory of the daemon, MiB. */
function memory(): number {
  const [, kib = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${walk.daemon.pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 1024);
}

it(`${REQUESTS} requests: no 5xx but 503, responses as documented, daemon healthy, memory bounded`, {
  timeout: 1_800_000,
}, async () => {
  const random = new SeededRandom(SEED);
  const [first, ...others] = endpoints();
  if (!first) throw new Error('there are no endpoints');
  const maker = new RequestMaker(random, known, [first, ...others]);
  const { apiKey, secretKey } = walk.lab.cloud;
  const secrets = [apiKey, secretKey, 'oma_password'];
  const byStatus = new Map<number, number>();
  const count = (status: number) => byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
  const samples: number[] = [];
  const findings: string[] = [];
  let [sent, malformed, silent] = [0, 0, 0];

  const one = async () => {
    if (sent % MALFORMED_EVERY === 0) {
      malformed += 1;
      const { sent: text, statuses } = await sendMalformed(walk.daemon.port, random);
      if (statuses.length === 0) silent += 1;
      for (const status of statuses) {
        count(status);
        expect(status < 500 || status === 503, `${status} to ${JSON.stringify(text.slice(0, 200))}`).toBe(
          true,
        );
      }
      return;
    }
    const request = maker.next();
    const told = () => JSON.stringify({ ...request, body: request.body?.toString('latin1').slice(0, 500) });
    try {
      const answer = await exchange(request);
      count(answer.status);
      check(request, answer, secrets);
    } catch (error) {
      findings.push(`${error instanceof Error ? error.message.split('\n')[0] : error}: ${told()}`);
    }
  };
  const worker = async () => {
    while (sent < REQUESTS && findings.length < FINDINGS_SHOWN) {
      sent += 1;
      if (sent % Math.ceil(REQUESTS / 20) === 0) samples.push(memory());
      await one();
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);

  const answers = [...byStatus].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`);
  process.stdout.write(
    `fuzz: ${sent} requests in ${seconds} s (seed ${SEED}), ${malformed} of them malformed (${silent} closed without a word); ${answers.join(', ')}; resident memory ${samples.join(' ')} MiB\n`,
  );
  expect(findings).toEqual([]);
  expect((await walk.api.get<{ status: string }>('/health')).status).toBe('healthy');
  expect(walk.daemon.log()).not.toContain('programming error');
  // The heap grows until the collector has found its size; only a long run shows whether it keeps growing.
  expect(Math.max(...samples), `MiB: ${samples.join(' ')}`).toBeLessThan(MEMORY_MAX_MIB);
  if (REQUESTS >= LONG_RUN_REQUESTS) {
    const middleOf = (seven: readonly number[]) => [...seven].sort((x, y) => x - y)[3] ?? 0;
    expect(middleOf(samples.slice(-7)), `MiB: ${samples.join(' ')}`).toBeLessThan(
      middleOf(samples.slice(6, 13)) * 1.25,
    );
  }
  expect(await walk.create('after the storm')).toMatch(/^[0-9a-f-]{36}$/);
});

it('clients that never finish their request are disconnected with 408', {
  timeout: 120_000,
}, async () => {
  for (const answer of await Promise.all(slow)) expect(answer).toMatch(/^HTTP\/1\.1 408 /);
});
