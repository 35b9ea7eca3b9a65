import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createApp, defineEventHandler, toNodeListener } from 'h3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { SharedFiles } from '~/server/http/pages/shared-files';
import { filesIn, serveFile } from '~/server/http/pages/static-files';

const dir = mkdtempSync(join(tmpdir(), 'static-files-'));
const BIG = join(dir, 'ui/big.js');
/** Far more than the kernel buffers between two sockets. */
const BIG_BYTES = 64 * 1024 * 1024;
const CLIENTS = 20;
const shared = new SharedFiles();

let server: Server;
let url: string;
const accepted: Socket[] = [];
beforeAll(async () => {
  mkdirSync(join(dir, 'ui'));
  writeFileSync(join(dir, 'ui/page.js'), 'let text;');
  writeFileSync(join(dir, 'ui/page.js.gz'), gzipSync('let text;'));
  writeFileSync(BIG, '');
  truncateSync(BIG, BIG_BYTES);
  const files = filesIn(dir);
  const app = createApp();
  app.use(
    defineEventHandler(async (event) => {
      const served = await serveFile(event, () => files, shared);
      return served === false ? 'another handler' : served;
    }),
  );
  server = createServer(toNodeListener(app)).listen(0, '127.0.0.1');
  server.on('connection', (socket) => accepted.push(socket));
  await new Promise((resolve) => server.once('listening', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

it('a file is sent whole, compressed for who can read that, and not again to who has it', async () => {
  const answer = await fetch(`${url}/ui/page.js`);
  expect(answer.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
  expect(answer.headers.get('content-encoding')).toBe('gzip');
  expect(await answer.text()).toBe('let text;');
  const etag = answer.headers.get('etag') ?? '';
  expect((await fetch(`${url}/ui/page.js`, { headers: { 'If-None-Match': etag } })).status).toBe(304);
  const plain = await fetch(`${url}/ui/page.js`, { headers: { 'Accept-Encoding': 'identity' } });
  expect([plain.headers.get('content-encoding'), await plain.text()]).toEqual([null, 'let text;']);
  const head = await fetch(`${url}/ui/big.js`, { method: 'HEAD' });
  expect([head.headers.get('content-length'), await head.text()]).toEqual([String(BIG_BYTES), '']);
});

it.each(['/', '/ui/', '/ui/none.js', '/ui/..%2f..%2fetc/passwd', '/ui/%2e%2e/page.js'])(
  '%s is no file',
  async (path) => {
    expect(await (await fetch(url + path)).text()).toBe('another handler');
  },
);

function ask(path: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  return socket;
}

it('clients that do not read share the bytes of the file, which are let go when they leave', async () => {
  accepted.length = 0;
  const before = process.memoryUsage().arrayBuffers;
  const clients = Array.from({ length: CLIENTS }, () => ask('/ui/big.js').pause());
  await expect
    .poll(() => accepted.filter((socket) => socket.writableNeedDrain).length, { timeout: 30_000 })
    .toBe(CLIENTS);
  expect(shared.count).toBe(1);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * BIG_BYTES);
  const unread = accepted.reduce((sum, socket) => sum + socket.writableLength, 0);
  expect(unread).toBeLessThanOrEqual(CLIENTS * 4 * LIMITS.STATIC_CHUNK_BYTES);
  for (const client of clients) client.destroy();
  await expect.poll(() => shared.count, { timeout: 30_000 }).toBe(0);
});

it('a client that reads gets the whole file beside clients that do not', async () => {
  accepted.length = 0;
  const clients = Array.from({ length: CLIENTS }, () => ask('/ui/big.js').pause());
  await expect.poll(() => accepted.length, { timeout: 30_000 }).toBe(CLIENTS);
  const answer = await fetch(`${url}/ui/big.js`);
  expect((await answer.arrayBuffer()).byteLength).toBe(BIG_BYTES);
  for (const client of clients) client.destroy();
  await expect.poll(() => shared.count, { timeout: 30_000 }).toBe(0);
});

it('between a few chunks of files everybody else has a turn', async () => {
  let chunks = 0;
  const streams = Array.from({ length: CLIENTS }, () => shared.stream(BIG).on('data', () => (chunks += 1)));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  let mostInOneTurn = 0;
  while (chunks < 10 * CLIENTS) {
    const before = chunks;
    await turn();
    mostInOneTurn = Math.max(mostInOneTurn, chunks - before);
  }
  // Of the two turns either may come first, so that one of ours may see two of theirs.
  expect(mostInOneTurn).toBeLessThanOrEqual(2 * LIMITS.STATIC_CHUNKS_A_TURN);
  for (const stream of streams) stream.destroy();
  await expect.poll(() => shared.count).toBe(0);
});

it('a file that cannot be read ends the connection and is not kept', async () => {
  const gone = join(dir, 'ui/gone.js');
  const stream = shared.stream(gone);
  stream.resume();
  await expect(new Promise((_, reject) => stream.once('error', reject))).rejects.toThrow('ENOENT');
  await expect.poll(() => shared.count).toBe(0);
});
