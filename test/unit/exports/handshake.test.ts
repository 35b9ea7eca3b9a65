import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { listExports, probeExport } from '~/server/exports/protocol/handshake';

/**
 * Servers that are silent, hostile or broken: the probe says what is wrong, within its time, and never
 * throws.
 */
let server: Server | null = null;
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server?.close();
});

async function serve(talk: (socket: Socket) => void): Promise<{ host: string; port: number }> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    talk(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  return { host: '127.0.0.1', port: address.port };
}

const GREETING = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), Buffer.from([0, 3])]);

function reply(option: number, type: number, data = Buffer.alloc(0), length = data.length): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(0x0003e889045565a9n, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(length, 16);
  return Buffer.concat([head, data]);
}

/** Answers every option (after the 4 bytes of client flags) with what is given. */
function answering(answer: (option: number) => Buffer): (socket: Socket) => void {
  return (socket) => {
    socket.write(GREETING);
    let seen = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      if (seen.length >= 20) socket.write(answer(seen.readUInt32BE(12)));
    });
  };
}

describe('the NBD handshake against other servers', () => {
  it('nobody there', async () => {
    expect(await probeExport({ host: '127.0.0.1', port: 1 }, 'x')).toMatchObject({
      ok: false,
      reason: 'refused',
    });
  });

  it('silence, also in the middle', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const silent = await serve((socket) => {
      closed = once(socket.resume(), 'close');
    });
    expect(await probeExport(silent, 'x', { timeoutMs: 100 })).toMatchObject({
      ok: false,
      reason: 'timeout',
    });
    // One that stayed would be taken for a client of the export.
    await closed;
    expect(
      await probeExport(await serve((socket) => socket.write(GREETING)), 'x', { timeoutMs: 100 }),
    ).toMatchObject({
      ok: false,
      reason: 'timeout',
    });
  });

  it('another protocol, the old style, and a closed connection', async () => {
    expect(
      await probeExport(await serve((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')), 'x'),
    ).toMatchObject({ ok: false, reason: 'protocol' });
    const old = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), Buffer.from([0, 0])]);
    expect(await probeExport(await serve((socket) => socket.write(old)), 'x')).toMatchObject({
      ok: false,
      reason: 'protocol',
    });
    expect(await probeExport(await serve((socket) => socket.end()), 'x')).toMatchObject({ ok: false });
  });

  it('a reply that claims four gigabytes, and one for another option', async () => {
    expect(
      await probeExport(
        await serve(answering((option) => reply(option, 3, Buffer.alloc(0), 0xffff_ffff))),
        'x',
      ),
    ).toMatchObject({ ok: false, reason: 'protocol' });
    expect(await probeExport(await serve(answering(() => reply(99, 1))), 'x')).toMatchObject({
      ok: false,
      reason: 'protocol',
    });
  });

  it('an acknowledgement without a size is refused', async () => {
    expect(await probeExport(await serve(answering((option) => reply(option, 1))), 'x')).toMatchObject({
      ok: false,
      reason: 'protocol',
    });
  });

  it('unknown and denied exports are told apart', async () => {
    expect(
      await probeExport(await serve(answering((option) => reply(option, 0x8000_0006))), 'x'),
    ).toMatchObject({ ok: false, reason: 'unknown-export' });
    expect(
      await probeExport(await serve(answering((option) => reply(option, 0x8000_0002))), 'x'),
    ).toMatchObject({ ok: false, reason: 'denied' });
  });

  it('every error of the negotiation has a name and a remedy, and what the server says is shown as one line', async () => {
    const required = answering((option) => reply(option, 0x8000_0005, Buffer.from('no\u001b[31m TLS\nhere')));
    expect(await probeExport(await serve(required), 'x')).toMatchObject({
      ok: false,
      reason: 'tls',
      message: expect.stringMatching(
        /TLS required \(error 5\): set NBD_TLS.*; the server says: no \[31m TLS here$/,
      ),
    });
    const unheard = answering((option) => reply(option, 0x8000_0063));
    expect(await probeExport(await serve(unheard), 'x')).toMatchObject({
      ok: false,
      reason: 'refused',
      message: expect.stringContaining('unknown error (error 99)'),
    });
  });

  const info = (size: bigint, flags = 1) => {
    const data = Buffer.alloc(12);
    data.writeBigUInt64BE(size, 2);
    data.writeUInt16BE(flags, 10);
    return reply(7, 3, data);
  };
  it('endless properties, and a size beyond exact numbers', async () => {
    const endless = answering(() => Buffer.concat(Array.from({ length: 1000 }, () => info(1n))));
    expect(await probeExport(await serve(endless), 'x')).toMatchObject({ ok: false, reason: 'protocol' });
    const torn = answering(() => reply(7, 3, Buffer.alloc(2)));
    expect(await probeExport(await serve(torn), 'x', { timeoutMs: 100 })).toMatchObject({
      ok: false,
      reason: 'timeout',
    });
    const absurd = answering(() => info(2n ** 63n));
    expect(await probeExport(await serve(absurd), 'x')).toMatchObject({ ok: false, reason: 'protocol' });
  });

  it('a server that sends single bytes slowly does not extend the time limit', async () => {
    const dripping = await serve((socket) => {
      let sent = 0;
      const drip = setInterval(() => {
        if (socket.destroyed) return clearInterval(drip);
        socket.write(GREETING.subarray(sent, sent + 1));
        sent = (sent + 1) % GREETING.length;
      }, 20);
    });
    expect(await probeExport(dripping, 'x', { timeoutMs: 200 })).toMatchObject({
      ok: false,
      reason: 'timeout',
    });
  });

  it('a connection closed in the middle of every piece of the answer', async () => {
    const whole = Buffer.concat([GREETING, info(1024n ** 2n), reply(7, 1)]);
    for (let length = 0; length < whole.length; length += 5) {
      const broken = await serve((socket) => socket.end(whole.subarray(0, length)));
      expect(await probeExport(broken, 'x')).toMatchObject({ ok: false });
    }
  });

  it('an endless list of exports is cut off', async () => {
    const name = Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('x')]);
    const endless = await serve((socket) => {
      socket.write(GREETING);
      socket.on('data', () => {
        for (let count = 0; count < 2000; count += 1) socket.write(reply(3, 2, name));
        socket.on('drain', () => socket.write(reply(3, 2, name)));
        const again = () =>
          socket.writable &&
          socket.write(Buffer.concat(Array.from({ length: 500 }, () => reply(3, 2, name))), again);
        again();
      });
    });
    await expect(listExports(endless, 5_000)).rejects.toThrow(/endless/);
  });
});
