import { connect, type Socket } from 'node:net';
import { LIMITS } from '../runtime/limits';
import type { ProbeResult } from './export-server';

/**
 * An NBD client that goes no further than the handshake (fixed newstyle; NBD protocol document, "Newstyle negotiation"). Every
 * answer of an export server is believed only after this. The other side may be hostile or silent: one deadline for the whole
 * exchange, every length bounded.
 */
export interface NbdAddress {
  readonly host: string;
  readonly port: number;
}

const MAGIC = Buffer.from('NBDMAGICIHAVEOPT', 'latin1');
const OPTION_MAGIC = MAGIC.subarray(8);
const REPLY_MAGIC = 0x0003e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const OPTION = { ABORT: 2, LIST: 3, GO: 7 } as const;
const REPLY = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  ERROR: 0x8000_0000,
  POLICY: 0x8000_0002,
  UNKNOWN: 0x8000_0006,
} as const;
const FLAG = { FIXED: 1, NO_ZEROES: 2, READ_ONLY: 1 << 1, SEND_FLUSH: 1 << 2, SEND_FUA: 1 << 3 } as const;
const INFO_EXPORT = 0;
const COMMAND_DISCONNECT = 2;
const REPLY_BYTES = 64 * 1024;

type Reason = Extract<ProbeResult, { ok: false }>['reason'];

class NbdError extends Error {
  constructor(
    readonly reason: Reason,
    message: string,
  ) {
    super(message);
  }
}

/** Asks for one export: is it there, how large, with which flags. Never throws; a broken server is an answer. */
export async function probeExport(
  address: NbdAddress,
  name: string,
  timeout: number = LIMITS.NBD_HANDSHAKE_TIMEOUT,
): Promise<ProbeResult> {
  const begun = performance.now();
  const ms = () => Math.round((performance.now() - begun) * 10) / 10;
  try {
    const { size, flags } = await withServer(address, timeout, (session) => go(session, name));
    return {
      ok: true,
      size,
      readOnly: (flags & FLAG.READ_ONLY) !== 0,
      flush: (flags & FLAG.SEND_FLUSH) !== 0,
      fua: (flags & FLAG.SEND_FUA) !== 0,
      ms: ms(),
    };
  } catch (error) {
    const known =
      error instanceof NbdError
        ? error
        : new NbdError('refused', error instanceof Error ? error.message : String(error));
    return { ok: false, reason: known.reason, message: known.message, ms: ms() };
  }
}

/** Does anybody speak NBD there? For health: connects, greets, leaves. */
export async function greets(
  address: NbdAddress,
  timeout: number = LIMITS.NBD_HANDSHAKE_TIMEOUT,
): Promise<string | null> {
  try {
    await withServer(address, timeout, async (session) =>
      session.send(option(OPTION.ABORT, Buffer.alloc(0))),
    );
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Names the server offers. Throws when it does not answer properly or forbids listing. */
export function listExports(
  address: NbdAddress,
  timeout: number = LIMITS.NBD_HANDSHAKE_TIMEOUT,
): Promise<string[]> {
  return withServer(address, timeout, async (session) => {
    session.send(option(OPTION.LIST, Buffer.alloc(0)));
    const names: string[] = [];
    for (;;) {
      const reply = await readReply(session, OPTION.LIST);
      if (reply.type === REPLY.ACK) break;
      if (reply.type !== REPLY.SERVER) throw refusal(reply.type, 'the list of exports');
      const length = reply.data.length >= 4 ? reply.data.readUInt32BE(0) : -1;
      if (length < 0 || length > reply.data.length - 4)
        throw new NbdError('protocol', 'a malformed name in the list of exports');
      if (names.push(reply.data.toString('utf8', 4, 4 + length)) > LIMITS.NBD_LIST_ENTRIES)
        throw new NbdError('protocol', 'an endless list of exports');
    }
    session.send(option(OPTION.ABORT, Buffer.alloc(0)));
    return names;
  });
}

/** nbd-server opens the target only for GO, so only GO knows the real size (INFO says 0). */
async function go(session: Session, name: string): Promise<{ size: number; flags: number }> {
  const bytes = Buffer.from(name, 'utf8');
  const data = Buffer.alloc(4 + bytes.length + 2);
  data.writeUInt32BE(bytes.length, 0);
  bytes.copy(data, 4);
  session.send(option(OPTION.GO, data));
  let found: { size: number; flags: number } | null = null;
  for (;;) {
    const reply = await readReply(session, OPTION.GO);
    if (reply.type === REPLY.ACK) break;
    if (reply.type !== REPLY.INFO) throw refusal(reply.type, `export ${name}`);
    if (reply.data.length >= 12 && reply.data.readUInt16BE(0) === INFO_EXPORT) {
      found = { size: Number(reply.data.readBigUInt64BE(2)), flags: reply.data.readUInt16BE(10) };
    }
  }
  if (!found) throw new NbdError('protocol', 'the server accepted without saying the size');
  const farewell = Buffer.alloc(28);
  farewell.writeUInt32BE(REQUEST_MAGIC, 0);
  farewell.writeUInt16BE(COMMAND_DISCONNECT, 6);
  session.send(farewell);
  return found;
}

function refusal(type: number, what: string): NbdError {
  if (type === REPLY.UNKNOWN) return new NbdError('unknown-export', `${what} is unknown to the server`);
  if (type === REPLY.POLICY) return new NbdError('denied', `${what}: access denied by server configuration`);
  if (type >= REPLY.ERROR)
    return new NbdError('refused', `${what} was refused (error ${type - REPLY.ERROR})`);
  return new NbdError('protocol', `an unexpected reply (${type}) about ${what}`);
}

function option(code: number, data: Buffer): Buffer {
  const head = Buffer.alloc(16);
  OPTION_MAGIC.copy(head, 0);
  head.writeUInt32BE(code, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

async function readReply(session: Session, code: number): Promise<{ type: number; data: Buffer }> {
  const head = await session.read(20);
  if (head.readBigUInt64BE(0) !== REPLY_MAGIC || head.readUInt32BE(8) !== code)
    throw new NbdError('protocol', 'the reply is not NBD');
  const length = head.readUInt32BE(16);
  if (length > REPLY_BYTES) throw new NbdError('protocol', `a reply of ${length} bytes is too long`);
  return { type: head.readUInt32BE(12), data: length === 0 ? Buffer.alloc(0) : await session.read(length) };
}

/** Reads exact numbers of bytes from a socket. */
class Session {
  private buffer = Buffer.alloc(0);
  private ended: NbdError | null = null;
  private wake: () => void = () => {};

  constructor(private readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.buffer = Buffer.concat([this.buffer, chunk]);
      if (this.buffer.length > REPLY_BYTES * 4) socket.pause();
      this.wake();
    });
    socket.on('error', (error) => this.end(new NbdError('refused', error.message)));
    socket.on('close', () => this.end(new NbdError('denied', 'the server closed the connection')));
  }

  send(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  async read(length: number): Promise<Buffer> {
    while (this.buffer.length < length) {
      if (this.ended) throw this.ended;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        this.socket.resume();
      });
    }
    const bytes = this.buffer.subarray(0, length);
    this.buffer = this.buffer.subarray(length);
    return bytes;
  }

  end(reason: NbdError): void {
    this.ended ??= reason;
    this.wake();
  }
}

async function withServer<T>(
  address: NbdAddress,
  timeout: number,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const socket = connect(address);
  const session = new Session(socket);
  const timer = setTimeout(
    () => session.end(new NbdError('timeout', `no answer within ${timeout} ms`)),
    timeout,
  );
  try {
    const greeting = await session.read(18);
    if (!greeting.subarray(0, 16).equals(MAGIC))
      throw new NbdError('protocol', 'what answers is not an NBD server of the newstyle');
    if ((greeting.readUInt16BE(16) & FLAG.FIXED) === 0)
      throw new NbdError('protocol', 'the server does not know the fixed newstyle');
    const flags = Buffer.alloc(4);
    flags.writeUInt32BE(FLAG.FIXED | FLAG.NO_ZEROES, 0);
    session.send(flags);
    return await work(session);
  } finally {
    clearTimeout(timer);
    socket.end();
    socket.destroySoon();
  }
}
