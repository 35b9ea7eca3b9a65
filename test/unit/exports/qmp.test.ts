import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Qmp, withQmp } from '~/server/exports/storage-daemon/qmp';
import { nodeName } from '~/server/exports/storage-daemon/storage-daemon-monitor';

/** Monitors that are silent, hostile or broken: every conversation ends, with a reason, within its bounds. */
const GREETING = `${JSON.stringify({ QMP: { version: { qemu: {} }, capabilities: [] } })}\n`;
let dir: string;
let server: Server | null = null;
const sockets = new Set<Socket>();

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'volume-qmp-'));
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server?.close();
  await rm(dir, { recursive: true, force: true });
});

const path = () => join(dir, 'qmp.sock');

async function serve(talk: (socket: Socket) => void): Promise<void> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    talk(socket);
  }).listen(path());
  await once(server, 'listening');
}

/** Greets, then answers each command with what is given. */
function answering(answer: (command: string, id: number) => string): (socket: Socket) => void {
  return (socket) => {
    socket.write(GREETING);
    let rest = '';
    socket.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { execute, id } = JSON.parse(line);
        socket.write(execute === 'qmp_capabilities' ? `{"return":{},"id":${id}}\n` : answer(execute, id));
      }
    });
  };
}

const talk = <T>(work: (qmp: Qmp) => Promise<T>, bytes = 64 * 1024) =>
  withQmp({ path: path(), timeoutMs: 200, maxBytes: bytes }, work);
const ask = (bytes?: number) => talk((qmp) => qmp.execute('query', z.object({ a: z.number() })), bytes);

describe('a QMP conversation', () => {
  it('nobody there', async () => {
    await expect(ask()).rejects.toMatchObject({ kind: 'absent' });
  });

  it.each([
    ['at once', (socket: Socket) => void socket],
    ['after the greeting', (socket: Socket) => void socket.write(GREETING)],
    ['after a command', answering(() => '')],
    ['in the middle of a line', answering(() => '{"return":')],
  ])('silence %s', async (_what, words) => {
    await serve(words);
    await expect(ask()).rejects.toMatchObject({ kind: 'silent' });
  });

  it.each([
    ['not JSON', 'hello\n'],
    ['JSON of another kind', '{"hello":1}\n'],
    ['a greeting without a version', '{"QMP":{}}\n'],
  ])('a greeting that is %s', async (_what, words) => {
    await serve((socket) => socket.write(words));
    await expect(ask()).rejects.toMatchObject({ kind: 'broken' });
  });

  it.each([
    ['of another command', (id: number) => `{"return":{"a":1},"id":${id + 1}}\n`],
    ['without an id', () => '{"return":{"a":1}}\n'],
    ['of another form', (id: number) => `{"return":{"a":"x"},"id":${id}}\n`],
    ['that is not JSON', () => '}\n'],
  ])('an answer %s is not believed', async (_what, words) => {
    await serve(answering((_command, id) => words(id)));
    await expect(ask()).rejects.toMatchObject({ kind: 'broken' });
  });

  it('an answer without end is cut off', async () => {
    await serve(answering(() => 'x'.repeat(200_000)));
    await expect(ask(64 * 1024)).rejects.toMatchObject({ kind: 'broken', message: /more than 65536 bytes/ });
  });

  it('a closed connection', async () => {
    await serve((socket) => socket.end(GREETING));
    await expect(ask()).rejects.toMatchObject({ kind: 'broken' });
  });

  it('a refusal is reported with its text, however long', async () => {
    await serve(
      answering(
        (_command, id) =>
          `${JSON.stringify({ id, error: { class: 'GenericError', desc: `no: ${'x'.repeat(5000)}` } })}\n`,
      ),
    );
    await expect(ask()).rejects.toMatchObject({ kind: 'refused', message: /^query: no: x{1,500}$/ });
  });

  it('events in between are skipped, and lines may come in pieces', async () => {
    await serve(
      answering((_command, id) => {
        const [socket] = sockets;
        for (let count = 0; count < 100; count += 1)
          socket?.write('{"event":"BLOCK_EXPORT_DELETED","data":{}}\n');
        const line = `{"return":{"a":1},"id":${id}}\n`;
        socket?.write(line.slice(0, 7));
        setTimeout(() => socket?.write(line.slice(7)), 20);
        return '';
      }),
    );
    expect(await ask()).toEqual({ a: 1 });
  });
});

describe('the name of a block node', () => {
  it('fits into the 31 characters of QEMU, and is another one for every volume', () => {
    const names = [
      '00000000-0000-0000-0000-000000000000',
      '00000000-0000-0000-0000-000000000001',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      'ffffffff-ffff-ffff-ffff-fffffffffffe',
    ].map(nodeName);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^v[0-9a-z]{1,25}$/);
  });
});
