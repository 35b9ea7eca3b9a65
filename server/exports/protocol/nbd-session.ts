import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls';
import { LIMITS } from '../../core/limits';
import type { ProbeResult } from '../export-server';

/** Where an NBD server listens. */
export interface NbdAddress {
  readonly host: string;
  readonly port: number;
}

/** The reasons of a failed probe. */
export type Reason = Extract<ProbeResult, { ok: false }>['reason'];

/** Why an exchange with an NBD server failed. */
export class NbdError extends Error {
  constructor(
    readonly reason: Reason,
    message: string,
  ) {
    super(message);
    this.name = 'NbdError';
  }
}

/** How much unread data is held in memory before the socket is paused. */
const UNREAD_BYTES = 256 * 1024;
/** How long a leaving client waits for the server to hang up, too. */
const FAREWELL_MS = 500;

/** Reads exact numbers of bytes from a socket. The other side may send anything, or nothing at all. */
export class NbdSession {
  private chunks: Buffer[] = [];
  private available = 0;
  private ended: NbdError | null = null;
  private wake: () => void = () => {};

  constructor(private socket: Socket) {
    this.listen(socket);
  }

  /** Our end of the connection. */
  get clientPort(): number | null {
    return this.socket.localPort ?? null;
  }

  /** Goes on over TLS. Rejects with NbdError when the two do not come to terms. */
  async secure(options: ConnectionOptions): Promise<void> {
    const plain = this.socket;
    plain.removeAllListeners('data');
    const secured = connectTls({ ...options, socket: plain });
    this.listen(secured);
    this.socket = secured;
    await new Promise<void>((resolve, reject) => {
      secured.once('secureConnect', resolve);
      const failed = () => reject(this.ended ?? new NbdError('tls', 'the server ended the TLS handshake'));
      secured.once('close', failed);
      this.wake = failed;
    });
  }

  private listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.available += chunk.length;
      if (this.available > UNREAD_BYTES) socket.pause();
      this.wake();
    });
    const reason = socket instanceof TLSSocket ? 'tls' : 'refused';
    socket.on('error', (error) => this.end(new NbdError(reason, error.message)));
    socket.on('close', () => this.end(new NbdError('refused', 'the server closed the connection')));
  }

  send(bytes: Buffer): void {
    if (!this.ended) this.socket.write(bytes);
  }

  /** The next `length` bytes. Throws NbdError when the connection ends first. */
  async read(length: number): Promise<Buffer> {
    while (this.available < length) {
      if (this.ended) throw this.ended;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        this.socket.resume();
      });
    }
    const all = this.chunks.length === 1 && this.chunks[0] ? this.chunks[0] : Buffer.concat(this.chunks);
    const rest = all.subarray(length);
    this.chunks = rest.length > 0 ? [rest] : [];
    this.available = rest.length;
    return all.subarray(0, length);
  }

  /** Every waiting and later read throws this reason; the first one counts. */
  end(reason: NbdError): void {
    this.ended ??= reason;
    this.wake();
  }
}

export interface ExchangeOptions {
  /** For the whole exchange. */
  readonly timeoutMs?: number | undefined;
  /** Called with what resolves when the server has hung up; without it, that is waited for. */
  readonly onParting?: (end: Promise<void>) => void;
}

/**
 * Runs one exchange on a connection of its own. Resolves when the server has hung up, too (or half a second
 * later): by then it has closed the disk, and nobody takes us for a client.
 */
export async function withNbdServer<T>(
  { host, port }: NbdAddress,
  { timeoutMs = LIMITS.NBD_HANDSHAKE_TIMEOUT_MS, onParting }: ExchangeOptions,
  work: (session: NbdSession) => Promise<T>,
): Promise<T> {
  // A handshake is many small writes; none may wait for the acknowledgement of the one before.
  const socket = connect({ host, port, noDelay: true });
  const session = new NbdSession(socket);
  const timer = setTimeout(
    () => session.end(new NbdError('timeout', `no answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  let end: Promise<void> | null = null;
  try {
    const result = await work(session);
    end = farewell(socket);
    if (onParting) onParting(end);
    else await end;
    return result;
  } finally {
    clearTimeout(timer);
    if (end === null) socket.destroy();
  }
}

function farewell(socket: Socket): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
    socket.end();
  });
}
