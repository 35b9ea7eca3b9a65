import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { limitConnections } from '~/server/http/request/connection-limits';
import { withLimits } from '~/test/support/with-limits';

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0)) step();
});

async function serve(): Promise<{ server: Server; open(text: string): Promise<Socket> }> {
  undo.push(limitConnections());
  const server = createServer({ connectionsCheckingInterval: 20 }, (incoming, response) => {
    incoming.resume().once('end', () => response.end('fine'));
    incoming.once('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const open = async (text: string) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(text);
    return socket;
  };
  return { server, open };
}

async function readToEnd(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

it('a client that does not finish its headers or its body in time is disconnected with 408', async () => {
  await withLimits({ HTTP_HEADERS_MS: 150, HTTP_REQUEST_MS: 300 }, async () => {
    const { open } = await serve();
    const answers = await Promise.all([
      open('GET / HTTP/1.1\r\nHost: localhost\r\nX: ').then(readToEnd),
      open('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{').then(readToEnd),
    ]);
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  });
});

it('a server gets its limits at its first connection, and later servers keep their own', async () => {
  const { server, open } = await serve();
  const socket = await open('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 200 /);
  expect([server.headersTimeout, server.requestTimeout, server.maxConnections]).toEqual([
    LIMITS.HTTP_HEADERS_MS,
    LIMITS.HTTP_REQUEST_MS,
    LIMITS.HTTP_CONNECTIONS,
  ]);
});

it('an idle connection outlasts those of its callers, so that no request meets its end', async () => {
  // What the Go client and curl close by themselves: after 90 and 118 seconds.
  const longestOfCallersMs = 118_000;
  const { open } = await serve();
  const socket = await open('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [answer] = await once(socket, 'data');
  const [, seconds] = /^Keep-Alive: timeout=(\d+)\r$/im.exec(String(answer)) ?? [];
  expect(Number(seconds) * 1000).toBeGreaterThan(longestOfCallersMs);
});
