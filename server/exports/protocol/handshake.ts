import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { ProbeResult } from '../export-server';
import { type NbdAddress, NbdError, type NbdSession, withNbdServer } from './nbd-session';

export type { NbdAddress } from './nbd-session';

/*
 * An NBD client that goes no further than the handshake (fixed newstyle; NBD protocol document, "Newstyle
 * negotiation"). The other side may be hostile or silent: one deadline for the whole exchange; lengths and
 * numbers of replies are bounded.
 */

const MAGIC = Buffer.from('NBDMAGICIHAVEOPT', 'latin1');
const OPTION_MAGIC = MAGIC.subarray(8);
const REPLY_MAGIC = 0x0003e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const SIMPLE_REPLY_MAGIC = 0x67446698;
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
const COMMAND = { READ: 0, DISCONNECT: 2 } as const;
const INFO_EXPORT = 0;
const REPLY_BYTES = 64 * 1024;
/** Longest string of the protocol, in bytes. */
const NAME_BYTES = 4096;
/** An export has a handful of properties. */
const INFO_REPLIES = 64;
const SECTOR = 512;

export interface ProbeOptions {
  /** For the whole exchange. */
  readonly timeoutMs?: number;
  /** Reads the first sector, too: only that fails when the server holds an unplugged disk open. */
  readonly read?: boolean;
}

/**
 * Asks for one export: is it there, how large, with which flags. Never throws; a broken server is an answer.
 */
export async function probeExport(
  address: NbdAddress,
  name: string,
  options: ProbeOptions = {},
): Promise<ProbeResult> {
  const begun = performance.now();
  const ms = () => Math.round((performance.now() - begun) * 10) / 10;
  try {
    const { size, flags } = await withNbdServer(
      address,
      options.timeoutMs ?? LIMITS.NBD_HANDSHAKE_TIMEOUT_MS,
      async (session) => {
        await greet(session);
        const leave = request(COMMAND.DISCONNECT, 0);
        if (!options.read) return go(session, name, leave);
        const found = await go(session, name, request(COMMAND.READ, SECTOR));
        if (found.size >= SECTOR) await readFirstSector(session, name);
        session.send(leave);
        return found;
      },
    );
    return {
      ok: true,
      size,
      readOnly: (flags & FLAG.READ_ONLY) !== 0,
      flush: (flags & FLAG.SEND_FLUSH) !== 0,
      fua: (flags & FLAG.SEND_FUA) !== 0,
      ms: ms(),
    };
  } catch (error) {
    const reason = error instanceof NbdError ? error.reason : 'refused';
    return { ok: false, reason, message: messageOf(error), ms: ms() };
  }
}

/** Does an NBD server answer there? Null when it does, else what is wrong. */
export async function greets(
  address: NbdAddress,
  timeoutMs: number = LIMITS.NBD_HANDSHAKE_TIMEOUT_MS,
): Promise<string | null> {
  try {
    await withNbdServer(address, timeoutMs, async (session) => {
      await greet(session);
      session.send(option(OPTION.ABORT, Buffer.alloc(0)));
    });
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Names the server offers. Throws NbdError when it does not answer properly, or forbids listing (`denied`).
 */
export function listExports(
  address: NbdAddress,
  timeoutMs: number = LIMITS.NBD_HANDSHAKE_TIMEOUT_MS,
): Promise<string[]> {
  return withNbdServer(address, timeoutMs, async (session) => {
    await greet(session);
    session.send(option(OPTION.LIST, Buffer.alloc(0)));
    const names: string[] = [];
    for (;;) {
      const reply = await readReply(session, OPTION.LIST);
      if (reply.type === REPLY.ACK) break;
      if (reply.type !== REPLY.SERVER) throw refusal(reply.type, 'the list of exports');
      const length = reply.data.length >= 4 ? reply.data.readUInt32BE(0) : -1;
      if (length < 0 || length > NAME_BYTES || length > reply.data.length - 4)
        throw new NbdError('protocol', 'a malformed name in the list of exports');
      if (names.push(reply.data.toString('utf8', 4, 4 + length)) > LIMITS.NBD_LIST_ENTRIES)
        throw new NbdError('protocol', 'an endless list of exports');
    }
    session.send(option(OPTION.ABORT, Buffer.alloc(0)));
    return names;
  });
}

async function greet(session: NbdSession): Promise<void> {
  const greeting = await session.read(18);
  if (!greeting.subarray(0, 16).equals(MAGIC))
    throw new NbdError('protocol', 'what answers is not an NBD server of the newstyle');
  if ((greeting.readUInt16BE(16) & FLAG.FIXED) === 0)
    throw new NbdError('protocol', 'the server does not know the fixed newstyle');
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(FLAG.FIXED | FLAG.NO_ZEROES, 0);
  session.send(flags);
}

/**
 * Only GO opens the target of nbd-server and tells its size (INFO says 0). `next`, the first request to the
 * opened export, is sent in two halves while the answer arrives: otherwise qemu-storage-daemon, which writes
 * the answer in pieces, waits 40 ms for delayed acknowledgements (measured on 7.2).
 */
async function go(session: NbdSession, name: string, next: Buffer): Promise<{ size: number; flags: number }> {
  const bytes = Buffer.from(name, 'utf8');
  const data = Buffer.alloc(4 + bytes.length + 2);
  data.writeUInt32BE(bytes.length, 0);
  bytes.copy(data, 4);
  session.send(option(OPTION.GO, data));
  let found: { size: number; flags: number } | null = null;
  let sent = 0;
  const proceed = (type: number) => {
    const upTo = type === REPLY.INFO ? next.length / 2 : type === REPLY.ACK ? next.length : sent;
    session.send(next.subarray(sent, upTo));
    sent = Math.max(sent, upTo);
  };
  for (let replies = 0; replies < INFO_REPLIES; replies += 1) {
    const reply = await readReply(session, OPTION.GO, proceed);
    if (reply.type === REPLY.ACK) {
      if (!found) throw new NbdError('protocol', 'the server accepted without saying the size');
      return found;
    }
    if (reply.type !== REPLY.INFO) throw refusal(reply.type, `export ${name}`);
    if (reply.data.length >= 12 && reply.data.readUInt16BE(0) === INFO_EXPORT) {
      const size = Number(reply.data.readBigUInt64BE(2));
      if (!Number.isSafeInteger(size)) throw new NbdError('protocol', `export ${name} has an absurd size`);
      found = { size, flags: reply.data.readUInt16BE(10) };
    }
  }
  throw new NbdError('protocol', `endless properties of export ${name}`);
}

async function readFirstSector(session: NbdSession, name: string): Promise<void> {
  const head = await session.read(16);
  if (head.readUInt32BE(0) !== SIMPLE_REPLY_MAGIC) throw new NbdError('protocol', 'the reply is not NBD');
  const error = head.readUInt32BE(4);
  if (error !== 0)
    throw new NbdError(
      'refused',
      `export ${name} cannot be read (error ${error}): its disk is gone or broken`,
    );
  await session.read(SECTOR);
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

function request(command: number, length: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(command, 6);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}

async function readReply(
  session: NbdSession,
  code: number,
  onType: (type: number) => void = () => {},
): Promise<{ type: number; data: Buffer }> {
  const head = await session.read(20);
  if (head.readBigUInt64BE(0) !== REPLY_MAGIC || head.readUInt32BE(8) !== code)
    throw new NbdError('protocol', 'the reply is not NBD');
  const length = head.readUInt32BE(16);
  if (length > REPLY_BYTES) throw new NbdError('protocol', `a reply of ${length} bytes is too long`);
  const type = head.readUInt32BE(12);
  onType(type);
  return { type, data: length === 0 ? Buffer.alloc(0) : await session.read(length) };
}
