import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { silentLogger } from '~/server/core/log/logger';
import { setHttpLogger } from '~/server/http/http-logger';
import { takeTurns } from '~/server/http/request/request-turns';
import { withLimits } from '~/test/support/with-limits';

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0)) step();
});

interface Begun {
  readonly url: string;
  readonly response: ServerResponse;
}

/** A server whose requests are answered by the test, in the order in which they were begun. */
async function serve() {
  const begun: Begun[] = [];
  let wake = () => {};
  const server = createServer((request, response) => {
    begun.push({ url: request.url ?? '', response });
    wake();
  });
  setHttpLogger(silentLogger);
  takeTurns(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => {
    server.closeAllConnections();
    server.close();
  });
  /** When that many have been begun. */
  const until = async (count: number): Promise<void> => {
    while (begun.length < count)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  const open = async (...urls: string[]): Promise<Socket> => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(urls.map((url) => `GET ${url} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join(''));
    return socket;
  };
  return {
    begun,
    until,
    open,
    /** A connection that has been answered once. */
    async answered(url: string): Promise<Socket> {
      const socket = await open(url);
      const answer = once(socket, 'data');
      await until(begun.length + 1);
      begun.at(-1)?.response.end('fine');
      await answer;
      return socket;
    },
  };
}

function heardBy(socket: Socket): { text: string } {
  const heard = { text: '' };
  socket.on('data', (chunk) => {
    heard.text += chunk;
  });
  return heard;
}

describe('pipelined requests', () => {
  it('are handled one after the other, each when the answer before it was taken', async () => {
    const { begun, until, open } = await serve();
    const socket = await open('/1', '/2', '/3');
    const heard = heardBy(socket);
    for (const count of [1, 2, 3]) {
      await until(count);
      expect(begun.map(({ url }) => url)).toEqual(['/1', '/2', '/3'].slice(0, count));
      begun[count - 1]?.response.end(`answer ${count}`);
    }
    while (!heard.text.includes('answer 3')) await once(socket, 'data');
    expect(heard.text.match(/answer \d/g)).toEqual(['answer 1', 'answer 2', 'answer 3']);
  });

  it('are not handled behind an answer that is not read', async () => {
    const { begun, until, open } = await serve();
    const socket = await open('/1', '/2');
    socket.pause();
    await until(1);
    begun[0]?.response.end(Buffer.alloc(32 * 1024 * 1024));
    const other = await open('/other');
    await until(2);
    expect(begun[1]?.url).toBe('/other');
    begun[1]?.response.end();
    await once(other, 'data');
    expect(begun).toHaveLength(2);
    socket.resume();
    await until(3);
    expect(begun[2]?.url).toBe('/2');
  });

  it('beyond the pause are all answered to a client that reads', async () => {
    await withLimits({ PIPELINED_PAUSE: 4 }, async () => {
      const { begun, until, open } = await serve();
      const urls = Array.from({ length: 200 }, (_, index) => `/${index}`);
      const socket = await open(...urls);
      const heard = heardBy(socket);
      for (const [index] of urls.entries()) {
        await until(index + 1);
        begun[index]?.response.end(`answer ${index}.`);
      }
      while (!heard.text.includes('answer 199.')) await once(socket, 'data');
      expect(begun.map(({ url }) => url)).toEqual(urls);
    });
  });

  it.each([
    ['on a connection', { PIPELINED_MAX: 5 }],
    ['on all connections', { PIPELINED_ALL_MAX: 5 }],
  ])('beyond the bound %s are never handled, and the connection ends after the others', async (_, limits) => {
    await withLimits(limits, async () => {
      const { begun, until, open } = await serve();
      const socket = await open(...Array.from({ length: 20 }, (_, index) => `/${index}`));
      socket.resume();
      const closed = once(socket, 'close');
      for (let count = 1; count <= 6; count += 1) {
        await until(count);
        begun[count - 1]?.response.end();
      }
      await closed;
      expect(begun).toHaveLength(6);
    });
  });

  it('of a client that has left are never handled, and take no place', async () => {
    await withLimits({ PIPELINED_ALL_MAX: 3 }, async () => {
      const { begun, until, open } = await serve();
      const socket = await open('/1', '/2', '/3');
      await until(1);
      const first = begun[0]?.response as ServerResponse;
      socket.destroy();
      await once(first, 'close');
      const next = await open('/a', '/b', '/c');
      next.resume();
      for (const count of [2, 3, 4]) {
        await until(count);
        begun[count - 1]?.response.end();
      }
      expect(begun.map(({ url }) => url)).toEqual(['/1', '/a', '/b', '/c']);
    });
  });
});

describe('answers that are not read', () => {
  it('of a client that left before its answer was made is not waited for, and its connection is not kept', async () => {
    const { begun, until, open } = await serve();
    const client = await open('/slow');
    await until(1);
    const response = begun[0]?.response;
    const connection = response?.req.socket;
    client.destroy();
    if (response === undefined || connection === undefined) throw new Error('nothing was begun');
    await once(response, 'close');
    response.end('too late');
    const lookedAt = vi.fn(() => 0);
    Object.defineProperty(connection, 'writableLength', { get: lookedAt });
    const other = await open('/other');
    await until(2);
    const heard = heardBy(other);
    begun[1]?.response.end('in time');
    while (!heard.text.includes('in time')) await once(other, 'data');
    expect(lookedAt).not.toHaveBeenCalled();
    other.destroy();
  });

  it('beyond the bound of all cost the client its connection that waits longest', async () => {
    await withLimits({ UNREAD_ALL_BYTES: 1024 }, async () => {
      const { begun, until, open } = await serve();
      const ends: Promise<unknown>[] = [];
      for (const count of [1, 2]) {
        const socket = await open(`/${count}`);
        socket.pause();
        await until(count);
        const { response } = begun[count - 1] as Begun;
        ends.push(once(response, 'close'));
        response.end(Buffer.alloc(32 * 1024 * 1024));
      }
      await ends[0];
      expect(begun.map(({ response }) => response.destroyed)).toEqual([true, false]);
    });
  });

  it('one alone may be larger than the bound', async () => {
    await withLimits({ UNREAD_ALL_BYTES: 1024 }, async () => {
      const { begun, until, open } = await serve();
      const socket = await open('/1');
      let heard = 0;
      socket.on('data', (chunk) => {
        heard += chunk.length;
      });
      await until(1);
      const answer = Buffer.alloc(8 * 1024 * 1024);
      begun[0]?.response.end(answer);
      while (heard < answer.length) await once(socket, 'data');
    });
  });
});

it('long lists are made one at a time, everything else meanwhile', async () => {
  const { begun, until, open } = await serve();
  const urls = (from: number) => begun.slice(from).map(({ url }) => url);
  for (const url of [
    '/ui/1.js',
    '/ui/2.js',
    '/api/v1/operations?limit=1000',
    '/api/v1/operations?limit=999',
    '/api/v1/operations?limit=10',
  ])
    (await open(url)).resume();
  await until(4);
  expect(urls(0)).toEqual([
    '/ui/1.js',
    '/ui/2.js',
    '/api/v1/operations?limit=1000',
    '/api/v1/operations?limit=10',
  ]);
  begun[2]?.response.end();
  await until(5);
  expect(urls(4)).toEqual(['/api/v1/operations?limit=999']);
});

it('a client that sends one long list after the other waits behind those of the others', async () => {
  const { begun, until, open } = await serve();
  const list = (n: number) => `/api/v1/operations?limit=${n}`;
  (await open(list(1000), list(999))).resume();
  await until(1);
  (await open(list(500))).resume();
  (await open('/health')).resume();
  await until(2);
  const first = begun[0]?.response as ServerResponse;
  const closed = once(first, 'close');
  first.end();
  await closed;
  await until(3);
  begun[2]?.response.end();
  await until(4);
  expect(begun.map(({ url }) => url)).toEqual([list(1000), '/health', list(500), list(999)]);
});

it('a long list is one however its address is written', async () => {
  const { begun, until, open } = await serve();
  const lists = [
    '/api/v1/operations?limit=1000',
    '/api/v1/%6fperations?limit=1000',
    '/api/v1/volumes/?limit=&limit=%31000',
  ];
  for (const url of lists) await open(url);
  await open('/api/v1/operations?limit=100');
  // The short one has come after the others, two of which wait.
  await until(2);
  expect(begun.map(({ url }) => url)).toEqual([lists[0], '/api/v1/operations?limit=100']);
});

describe('idle connections', () => {
  it('of too many those end that were idle for longest, so that a caller who closes none shuts nobody out', async () => {
    await withLimits({ HTTP_IDLE_CONNECTIONS: 2 }, async () => {
      const { begun, until, open, answered } = await serve();
      const first = await answered('/1');
      const second = await answered('/2');
      // Used again: it is idle for less long than the second one.
      first.write('GET /again HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await until(3);
      begun.at(-1)?.response.end('fine');
      await once(first, 'data');
      const [ended] = await Promise.all([once(second, 'close'), answered('/3')]);
      expect(ended).toBeDefined();
      expect(first.destroyed).toBe(false);
      // One that is being answered is none of them.
      await open('/busy');
      await until(5);
      const ends = once(first, 'close');
      await answered('/4');
      await ends;
      expect(begun.find(({ url }) => url === '/busy')?.response.destroyed).toBe(false);
    });
  });

  it('one on which a request has begun to come is spared', async () => {
    await withLimits({ HTTP_IDLE_CONNECTIONS: 2 }, async () => {
      const { begun, until, answered } = await serve();
      const first = await answered('/1');
      const second = await answered('/2');
      const server = begun[0]?.response.req.socket;
      const before = server?.bytesRead ?? 0;
      first.write('POST /half HTTP/1.1\r\nHost: loc');
      await vi.waitFor(() => expect(server?.bytesRead).toBeGreaterThan(before));
      await Promise.all([once(second, 'close'), answered('/3')]);
      first.write('alhost\r\nContent-Length: 0\r\n\r\n');
      await until(4);
      expect(begun.at(-1)?.url).toBe('/half');
      begun.at(-1)?.response.end('fine');
      await once(first, 'data');
    });
  });
});
