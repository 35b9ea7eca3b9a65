import type { ConnectionOptions } from 'node:tls';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { ProbeResult } from '../export-server';
import {
  type ExchangeOptions,
  type NbdAddress,
  NbdError,
  type NbdSession,
  type Reason,
  withNbdServer,
} from './nbd-session';

/*
 * An NBD client that goes no further than the handshake (fixed newstyle; NBD protocol document, "Newstyle
 * negotiation"). The other side may be hostile or silent: one deadline for the whole exchange; lengths and
 * numbers of replies are bounded.
 */

const MAGIC = Buffer.from('NBDMAGICIHAVEOPT', 'latin1');
const OPTION_MAGIC = MAGIC.subarray(8);
const REPLY_MAGIC = 0x0003e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const OPTION = { ABORT: 2, LIST: 3, STARTTLS: 5, GO: 7 } as const;
const REPLY = { ACK: 1, SERVER: 2, INFO: 3, ERROR: 0x8000_0000 } as const;
const FLAG = { FIXED: 1, NO_ZEROES: 2, READ_ONLY: 1 << 1, SEND_FLUSH: 1 << 2, SEND_FUA: 1 << 3 } as const;
const DISCONNECT = 2;
const INFO_EXPORT = 0;
const REPLY_BYTES = 64 * 1024;
/** Longest string of the protocol, in bytes. */
const NAME_BYTES = 4096;
/** An export has a handful of properties. */
const INFO_REPLIES = 64;

/** Reads what a TLS client needs; null: the server is spoken to without TLS. */
export type ReadTls = (() => Promise<ConnectionOptions>) | null;

export interface ProbeOptions extends ExchangeOptions {
  readonly tls?: ReadTls;
  /**
   * Called with our port when the server has greeted us, and what it returned while the server has the export
   * open for us: which disks has it open (`nodeKey`)?
   */
  readonly inspect?: (clientPort: number) => Promise<() => readonly string[] | null>;
}

/**
 * Asks for one export: is it there, how large, with which flags. A name that is not known yet is waited for
 * after the greeting; null: nothing is asked. Never throws; a broken server is an answer.
 */
export async function probeExport(
  address: NbdAddress,
  name: string | Promise<string | null>,
  options: ProbeOptions = {},
): Promise<ProbeResult> {
  const begun = performance.now();
  const ms = () => Math.round((performance.now() - begun) * 10) / 10;
  try {
    const tls = (await options.tls?.()) ?? null;
    const found = await withNbdServer(address, options, async (session) => {
      await greet(session);
      const port = session.clientPort;
      const look = port === null ? undefined : await options.inspect?.(port);
      const wanted = await name;
      if (wanted === null) {
        session.send(option(OPTION.ABORT));
        return null;
      }
      if (tls) await startTls(session, tls);
      const answer = await go(session, wanted);
      const nodes = look?.() ?? null;
      session.send(disconnect());
      return { ...answer, nodes };
    });
    if (found === null) return { ok: false, reason: 'refused', message: 'nothing was asked for', ms: ms() };
    const { size, flags, nodes } = found;
    return {
      ok: true,
      size,
      readOnly: (flags & FLAG.READ_ONLY) !== 0,
      flush: (flags & FLAG.SEND_FLUSH) !== 0,
      fua: (flags & FLAG.SEND_FUA) !== 0,
      nodes,
      ms: ms(),
    };
  } catch (error) {
    const reason = error instanceof NbdError ? error.reason : 'refused';
    return { ok: false, reason, message: messageOf(error), ms: ms() };
  }
}

/** Does an NBD server answer there? Null when it does, else what is wrong. */
export function greets(address: NbdAddress, timeoutMs?: number): Promise<string | null> {
  return withNbdServer(address, { timeoutMs }, async (session) => {
    await greet(session);
    session.send(option(OPTION.ABORT));
  }).then(() => null, messageOf);
}

/**
 * Names the server offers. Throws NbdError when it does not answer properly, or forbids listing (`denied`).
 */
export function listExports(address: NbdAddress, timeoutMs?: number): Promise<string[]> {
  return withNbdServer(address, { timeoutMs }, async (session) => {
    await greet(session);
    session.send(option(OPTION.LIST));
    const names: string[] = [];
    for (;;) {
      const reply = await readReply(session, OPTION.LIST);
      if (reply.type === REPLY.ACK) break;
      if (reply.type !== REPLY.SERVER) throw refusal(reply.type, 'the list of exports', reply.data);
      const length = reply.data.length >= 4 ? reply.data.readUInt32BE(0) : -1;
      if (length < 0 || length > NAME_BYTES || length > reply.data.length - 4)
        throw new NbdError('protocol', 'a malformed name in the list of exports');
      if (names.push(reply.data.toString('utf8', 4, 4 + length)) > LIMITS.NBD_LIST_ENTRIES)
        throw new NbdError('protocol', 'an endless list of exports');
    }
    session.send(option(OPTION.ABORT));
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

async function startTls(session: NbdSession, options: ConnectionOptions): Promise<void> {
  session.send(option(OPTION.STARTTLS));
  const { type, data } = await readReply(session, OPTION.STARTTLS);
  if (type !== REPLY.ACK) throw refusal(type, 'TLS', data);
  await session.secure(options);
}

/** Only GO opens the target and tells its size: INFO of nbd-server says 0. */
async function go(session: NbdSession, name: string): Promise<{ size: number; flags: number }> {
  const bytes = Buffer.from(name, 'utf8');
  const data = Buffer.alloc(4 + bytes.length + 2);
  data.writeUInt32BE(bytes.length, 0);
  bytes.copy(data, 4);
  session.send(option(OPTION.GO, data));
  let found: { size: number; flags: number } | null = null;
  for (let replies = 0; replies < INFO_REPLIES; replies += 1) {
    const reply = await readReply(session, OPTION.GO);
    if (reply.type === REPLY.ACK) {
      if (!found) throw new NbdError('protocol', 'the server accepted without saying the size');
      return found;
    }
    if (reply.type !== REPLY.INFO) throw refusal(reply.type, `export ${name}`, reply.data);
    if (reply.data.length >= 12 && reply.data.readUInt16BE(0) === INFO_EXPORT) {
      const size = Number(reply.data.readBigUInt64BE(2));
      if (!Number.isSafeInteger(size)) throw new NbdError('protocol', `export ${name} has an absurd size`);
      found = { size, flags: reply.data.readUInt16BE(10) };
    }
  }
  throw new NbdError('protocol', `endless properties of export ${name}`);
}

/** The errors of the negotiation: what they mean, and what to do about them. */
const REFUSALS: Readonly<Record<number, { reason: Reason; name: string; remedy: string }>> = {
  1: { reason: 'refused', name: 'unsupported', remedy: 'the server does not know this option' },
  2: { reason: 'denied', name: 'forbidden by policy', remedy: 'access denied by server configuration' },
  3: { reason: 'protocol', name: 'invalid request', remedy: 'report this: one side breaks the protocol' },
  4: { reason: 'refused', name: 'not on this platform', remedy: 'use another build of the server' },
  5: { reason: 'tls', name: 'TLS required', remedy: 'set NBD_TLS and NBD_TLS_DIR as the server has them' },
  6: { reason: 'unknown-export', name: 'unknown export', remedy: 'the server has no export of this name' },
  7: { reason: 'refused', name: 'shutting down', remedy: 'try again when the server has been started anew' },
  8: { reason: 'refused', name: 'block size required', remedy: 'the server insists on a block size' },
  9: { reason: 'refused', name: 'too big', remedy: 'the request is larger than the server allows' },
};
/** Of the server's own words, as much as fits into a line. */
const REFUSAL_CHARACTERS = 200;

function refusal(type: number, what: string, data: Buffer): NbdError {
  if (type < REPLY.ERROR) return new NbdError('protocol', `an unexpected reply (${type}) about ${what}`);
  const number = type - REPLY.ERROR;
  const { reason, name, remedy } = REFUSALS[number] ?? {
    reason: 'refused',
    name: 'unknown error',
    remedy: 'see the log of the server',
  };
  const said = data
    .toString('utf8')
    .replace(/[^\x20-\x7e]/g, ' ')
    .slice(0, REFUSAL_CHARACTERS)
    .trim();
  const words = said === '' ? '' : `; the server says: ${said}`;
  return new NbdError(reason, `${what} was refused: ${name} (error ${number}): ${remedy}${words}`);
}

function option(code: number, data = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(16);
  OPTION_MAGIC.copy(head, 0);
  head.writeUInt32BE(code, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

function disconnect(): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(DISCONNECT, 6);
  return bytes;
}

async function readReply(session: NbdSession, code: number): Promise<{ type: number; data: Buffer }> {
  const head = await session.read(20);
  if (head.readBigUInt64BE(0) !== REPLY_MAGIC || head.readUInt32BE(8) !== code)
    throw new NbdError('protocol', 'the reply is not NBD');
  const length = head.readUInt32BE(16);
  if (length > REPLY_BYTES) throw new NbdError('protocol', `a reply of ${length} bytes is too long`);
  const type = head.readUInt32BE(12);
  return { type, data: length === 0 ? Buffer.alloc(0) : await session.read(length) };
}
