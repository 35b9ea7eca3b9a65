import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { digestOf, tokensText } from '~/server/daemon/access/tokens';
import type { OperationReply } from '~/server/http/schemas/operations';
import { type CollectedSpan, TraceCollector } from '../../support/trace-collector';
import { HELD_MS, Valve } from '../../support/valve';
import { send, Walk } from './walk';

/** What the built daemon tells a collector of traces, copied to where no other packages are. */
const OUTPUT = fileURLToPath(new URL('../../../.output', import.meta.url));
const COLLECTOR_TOKEN = 'collector-canary-3f1e';
const valve = new Valve();
let folder: string;
let collector: TraceCollector;
let walk: Walk;
let volumeId: string;
let number = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'traces-'));
  await cp(OUTPUT, join(folder, 'output'), { recursive: true });
  collector = await TraceCollector.start();
  const createdAt = '2026-01-15T12:00:00.000Z';
  const hub = { name: 'the-hub', role: 'admin', sha256: digestOf('hub-canary-77'), createdAt } as const;
  await writeFile(join(folder, 'tokens.json'), tokensText([hub]));
  walk = await Walk.begin({ cloud: { clock: valve.clock } }, options());
  volumeId = (await end(await post('/api/v1/volumes', walk.createBody('traced'), trace()))).volume_id;
});
afterAll(async () => {
  await walk?.close();
  await collector?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

function options() {
  return {
    entry: join(folder, 'output/server/index.mjs'),
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${COLLECTOR_TOKEN}`,
      OTEL_SERVICE_NAME: 'appliance-seven',
      TOKENS_FILE: join(folder, 'tokens.json'),
    },
  };
}

/** A caller's place in a trace of its own. */
function trace(flags = '01') {
  number += 1;
  const traceId = number.toString(16).padStart(32, 'a');
  return { traceId, spanId: '00f067aa0ba902b7', header: `00-${traceId}-00f067aa0ba902b7-${flags}` };
}

const authorization = 'Bearer hub-canary-77';

async function ask(method: string, path: string, more: RequestInit = {}): Promise<OperationReply> {
  const headers = { authorization, 'content-type': 'application/json', ...more.headers };
  const { status, body } = await send(walk.daemon.url + path, { ...more, method, headers });
  expect(status, JSON.stringify(body)).toBeLessThan(300);
  return body as unknown as OperationReply;
}

function post(path: string, body: unknown, { header }: { header: string }): Promise<OperationReply> {
  return ask('POST', path, { body: JSON.stringify(body), headers: { traceparent: header } });
}

async function end(operation: OperationReply): Promise<OperationReply> {
  let now = operation;
  while (now.status === 'pending' || now.status === 'executing')
    now = await ask('GET', `/api/v1/operations/${operation.id}?wait=20s`);
  expect(now).toMatchObject({ status: 'completed' });
  return now;
}

const spanOf = (name: string, traceId: string, what: (span: CollectedSpan) => boolean = () => true) =>
  collector.until((spans) =>
    spans.find((span) => span.name === name && span.traceId === traceId && what(span)),
  );

const attachPath = () => `/api/v1/volumes/${volumeId}/attach`;
const attachBody = () => ({ vm_id: walk.appliance });
const ATTACH = 'POST /api/v1/volumes/{id}/attach';

describe('traces', { timeout: 120_000 }, () => {
  it('lead from the caller through the request and its operation to CloudStack and the export', async () => {
    const { traceId, spanId, header } = trace();
    const accepted = await post(attachPath(), attachBody(), { header });
    await end(accepted);
    const request = await spanOf(ATTACH, traceId);
    const operation = await spanOf('operation attach', traceId);
    const call = await spanOf('cloudstack attachVolume', traceId);
    const publish = await spanOf('export publish', traceId);
    expect(request).toMatchObject({
      parentSpanId: spanId,
      failed: false,
      service: 'appliance-seven',
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/api/v1/volumes/{id}/attach',
        'volume_daemon.actor': 'the-hub',
        'volume_daemon.operation.id': accepted.id,
      },
    });
    expect(Number(request.attributes['http.response.status_code'])).toBe(201);
    expect(operation).toMatchObject({
      parentSpanId: request.spanId,
      failed: false,
      attributes: {
        'volume_daemon.operation.id': accepted.id,
        'volume_daemon.operation.status': 'completed',
        'volume_daemon.operation.resumed': false,
        'volume_daemon.volume.id': volumeId,
      },
    });
    expect(call.parentSpanId).toBe(operation.spanId);
    expect(publish.parentSpanId).toBe(operation.spanId);
    expect(accepted.traceparent, 'what is stored leads to the request').toBe(
      `00-${traceId}-${request.spanId}-01`,
    );
  });

  it('of a caller that sends none begin here, and the operation names its own', async () => {
    const accepted = await ask('POST', `/api/v1/volumes/${volumeId}/detach`);
    await end(accepted);
    const [, traceId = '', spanId] = accepted.traceparent?.split('-') ?? [];
    expect(await spanOf('operation detach', traceId)).toMatchObject({ parentSpanId: spanId });
    const request = await spanOf('POST /api/v1/volumes/{id}/detach', traceId);
    expect([request.parentSpanId, request.spanId]).toEqual([null, spanId]);
  });

  it('are not made of what the caller does not record', async () => {
    const [quiet, loud] = [trace('00'), trace()];
    for (const { header } of [quiet, loud])
      await ask('GET', '/api/v1/devices', { headers: { traceparent: header } });
    await spanOf('GET /api/v1/devices', loud.traceId);
    expect(collector.spans.filter(({ traceId }) => traceId === quiet.traceId)).toEqual([]);
  });

  it('name a failed operation by its code', async () => {
    const { traceId, header } = trace();
    const nobody = '99999999-9999-4999-8999-999999999999';
    const { id } = await post(`/api/v1/volumes/${nobody}/detach`, {}, { header });
    const operation = await spanOf('operation detach', traceId);
    const { error_code } = await ask('GET', `/api/v1/operations/${id}`);
    expect(operation).toMatchObject({ failed: true, attributes: { 'error.type': error_code } });
  });

  it('go on in the same trace after kill -9', async () => {
    const { traceId, header } = trace();
    const { model } = walk.lab.cloud;
    const usual = { ...model.latencies };
    model.latencies.attach = { accept: 0, job: HELD_MS };
    const accepted = await post(attachPath(), attachBody(), { header });
    await spanOf('cloudstack attachVolume', traceId);
    await walk.daemon.kill();
    model.latencies.attach = usual.attach;
    await walk.restartDaemon(options());
    valve.open();
    await end(accepted);
    const request = await spanOf(ATTACH, traceId);
    expect(
      await spanOf('operation attach', traceId, ({ attributes }) =>
        Boolean(attributes['volume_daemon.operation.resumed']),
      ),
    ).toMatchObject({ parentSpanId: request.spanId });
  });

  it('hold no secret; the collector is told its own in a header', () => {
    expect(collector.headers.at(-1)).toMatchObject({ authorization: `Bearer ${COLLECTOR_TOKEN}` });
    const { apiKey, secretKey } = walk.lab.cloud;
    const told = collector.bodies.join('\n');
    for (const secret of [apiKey, secretKey, 'hub-canary-77', COLLECTOR_TOKEN, 'signature'])
      expect(told.includes(secret), secret).toBe(false);
    expect(walk.daemon.log()).not.toContain(COLLECTOR_TOKEN);
  });
});

describe('a collector that is away', { timeout: 120_000 }, () => {
  async function spans(outcome: string): Promise<number> {
    const { text: metrics } = await send(`${walk.daemon.url}/metrics`, { headers: { authorization } });
    const line = metrics
      .split('\n')
      .find((one) => one.startsWith(`volume_daemon_trace_spans_total{outcome="${outcome}"}`));
    return Number(line?.split(' ').at(-1));
  }

  /** Asks whether the daemon lives, so many times in a row, on one connection. */
  async function askAtOnce(times: number): Promise<void> {
    const socket = connect(Number(new URL(walk.daemon.url).port), '127.0.0.1');
    const request = (connection: string) =>
      `GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`;
    socket.write(request('keep-alive').repeat(times - 1) + request('close'));
    const answers = await text(socket);
    expect(answers.match(/HTTP\/1\.1 200 /g)).toHaveLength(times);
  }

  it('costs spans and nothing else: a bounded number waits, the others are dropped and counted', async () => {
    collector.mode = 'hang';
    const before = await spans('dropped');
    // A batch that is given up makes room: however slow this machine is, requests come faster than that.
    do await askAtOnce(LIMITS.TRACE_BATCH);
    while ((await spans('dropped')) === before);
    const ended = await end(await ask('POST', `/api/v1/volumes/${volumeId}/snapshots`));
    expect(ended.status).toBe('completed');
  });

  it('takes them again when it is back, and the log has told both', async () => {
    collector.mode = 'refuse';
    await expect.poll(() => walk.daemon.log(), { timeout: 60_000 }).toContain('does not take spans');
    collector.mode = 'ok';
    const sent = await spans('sent');
    await expect
      .poll(
        async () => {
          await ask('GET', '/api/v1/devices');
          return spans('sent');
        },
        { timeout: 60_000 },
      )
      .toBeGreaterThan(sent);
    expect(walk.daemon.log()).toContain('takes spans again');
  });

  it('keeps no daemon from stopping', async () => {
    collector.mode = 'hang';
    await ask('GET', '/api/v1/devices');
    expect(await walk.daemon.stop()).toBe(0);
  });
});

describe('without the packages that make traces', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    const packages = join(folder, 'output/server/node_modules/@opentelemetry');
    // prom-client needs `api`, whether anything is traced or not.
    for (const name of await readdir(packages))
      if (name !== 'api') await rm(join(packages, name), { recursive: true });
  });

  it('a daemon that sends none does not miss them: nothing of it is loaded', async () => {
    await walk.restartDaemon({ entry: options().entry });
    const { text: metrics } = await send(`${walk.daemon.url}/metrics`);
    expect(metrics).toContain('# TYPE volume_daemon_trace_spans_total counter');
    expect(metrics).not.toContain('volume_daemon_trace_spans_total{');
    expect(walk.daemon.log()).not.toContain('No traces are sent');
    await walk.daemon.stop();
  });

  it('a daemon that should send them says so, and works', async () => {
    await walk.restartDaemon(options());
    expect(walk.daemon.log()).toContain('No traces are sent');
    await ask('GET', '/api/v1/devices');
  });
});
