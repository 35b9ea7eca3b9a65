import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { networkError } from '~/server/cloudstack/errors';
import { createAgents } from '~/server/cloudstack/wire/fetch-through';
import { createSender, post } from '~/server/cloudstack/wire/transport';
import { withLimits } from '~/test/support/with-limits';
import { type CannedAnswer, ok } from './canned-server';
import { JOB, refused, useCannedServer } from './use-canned-server';

const canned = useCannedServer();

describe('the connection', () => {
  const call = (endpoint: string, timeoutMs = 30_000) =>
    post(createSender(createAgents()), {
      endpoint,
      command: 'attachVolume',
      form: 'command=attachVolume',
      timeoutMs,
      onServerTime: () => {},
    });

  it('nobody listens: certainly not started', async () => {
    const free = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => free.once('listening', resolve));
    const address = free.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await new Promise((resolve) => free.close(resolve));
    const error = await refused(call(`http://127.0.0.1:${port}/client/api`));
    expect([error.kind, error.outcome, error.message]).toEqual([
      'network',
      'not-started',
      'CloudStack did not answer attachVolume: ECONNREFUSED (no server listens there: start it, or correct host and port in api_url)',
    ]);
  });

  it('no such host: certainly not started', async () => {
    expect((await refused(call('http://no-such-host.invalid/client/api'))).outcome).toBe('not-started');
  });

  it('a server that takes the connection and speaks no TLS: certainly not started', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    await withLimits({ CLOUDSTACK_CONNECT_TIMEOUT_MS: 50 }, async () => {
      const error = await refused(call(`https://127.0.0.1:${port}/client/api`));
      expect([error.outcome, error.message]).toEqual([
        'not-started',
        'CloudStack did not answer attachVolume: ERR_CONNECT_TIMEOUT (no connection in time: look at scheme, host and port in api_url, and at firewalls)',
      ]);
    });
    silent.close();
  });

  it('is used again by the next call', async () => {
    const ports = new Set<number | undefined>();
    canned.say({
      socket: (response) => {
        ports.add(response.socket?.remotePort);
        response.end(ok('attachVolume', { jobid: JOB }).body);
      },
    });
    await canned.attach();
    await canned.attach();
    expect([canned.server.requests.length, ports.size]).toEqual([2, 1]);
  });

  const IDLE_MS = 10;
  it('of a call that is slow to be answered is not taken for one that is left alone', async () => {
    canned.say({
      socket: (response) =>
        void setTimeout(() => response.end(ok('attachVolume', { jobid: JOB }).body), 10 * IDLE_MS),
    });
    await withLimits({ CLOUDSTACK_IDLE_MS: IDLE_MS }, async () => {
      await expect(call(canned.server.url)).resolves.toEqual({ jobid: JOB });
    });
    expect(canned.server.requests).toHaveLength(1);
  });

  const BREAKS: readonly [what: string, socket: CannedAnswer['socket']][] = [
    ['reset after the request was read', (response) => void response.socket?.resetAndDestroy()],
    ['closed after the request was read', (response) => void response.socket?.destroy()],
    [
      'reset in the middle of the answer',
      (response) => {
        response.writeHead(200, { 'content-length': '1000' }).write('{"attachvolume');
        response.socket?.resetAndDestroy();
      },
    ],
    ['nonsense instead of HTTP', (response) => void response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ];

  it.each(BREAKS)('%s: it may have happened', async (_what, socket) => {
    canned.say(socket ? { socket } : {});
    const error = await refused(canned.attach());
    expect([error.kind, error.outcome, error.transient]).toEqual(['network', 'unknown', true]);
    expect(canned.server.requests, 'a POST is never repeated by the transport').toHaveLength(1);
  });

  const UNREACHABLE = ['EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ECONNREFUSED'];
  it.each(UNREACHABLE)(
    'that stands and ends with %s, once the machine of CloudStack cannot be reached: it may have happened',
    async (code) => {
      const agents = createAgents();
      // What the kernel says of a connection whose peer has not answered for too long.
      const lost = Object.assign(new Error(`read ${code}`), { code, syscall: 'read' });
      canned.say({
        socket: () => {
          for (const socket of Object.values(agents.http.sockets).flat()) socket?.destroy(lost);
        },
      });
      const sending = { endpoint: canned.server.url, command: 'createVolume', form: 'command=createVolume' };
      const error = await refused(
        post(createSender(agents), { ...sending, timeoutMs: 30_000, onServerTime: () => {} }),
      );
      expect([error.outcome, error.message]).toEqual([
        'unknown',
        `CloudStack did not answer createVolume: ${code}`,
      ]);
      expect(canned.server.requests, 'it had arrived').toHaveLength(1);
    },
  );

  it('none of the addresses of a host can be reached: certainly not started', () => {
    const refusals = ['::1', '127.0.0.1'].map((address) =>
      Object.assign(new Error(`connect ECONNREFUSED ${address}`), {
        code: 'ECONNREFUSED',
        syscall: 'connect',
      }),
    );
    const all = Object.assign(new AggregateError(refusals), { code: 'ECONNREFUSED' });
    expect(networkError(all, 'attachVolume').outcome).toBe('not-started');
  });

  it('a server that does not answer in time: it may have happened', async () => {
    canned.say({ socket: () => {} });
    const error = await refused(call(canned.server.url, 50));
    expect([error.outcome, error.message]).toEqual([
      'unknown',
      'CloudStack did not answer attachVolume: timeout',
    ]);
  });

  it('a server that begins in time and never ends: the limit is on the last byte', async () => {
    canned.say({ socket: (response) => void response.writeHead(200).write('{') });
    const error = await refused(call(canned.server.url, 50));
    expect([error.outcome, error.message]).toEqual([
      'unknown',
      'CloudStack did not answer attachVolume: timeout',
    ]);
  });
});
