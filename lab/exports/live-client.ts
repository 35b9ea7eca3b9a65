import { connect, type Socket } from 'node:net';

/*
 * A client of an NBD export that shares no code with the daemon's handshake: negotiates, reads and writes,
 * stays connected. For tests that must see whether a live session is cut, and whose disk is behind a name.
 */

const OPTION_MAGIC = Buffer.from('IHAVEOPT', 'latin1');
const GO = 7;
const ACK = 1;
const INFO = 3;
const READ = 0;
const WRITE = 1;
const DISCONNECT = 2;
const FLUSH = 3;

export class LiveClient {
  private unread = Buffer.alloc(0);
  private wake: () => void = () => {};
  private ended: Error | null = null;
  private handle = 0n;
  size = 0;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.unread = Buffer.concat([this.unread, chunk]);
      this.wake();
    });
    socket.on('error', (error) => this.end(error));
    socket.on('close', () => this.end(new Error('the session was cut')));
  }

  /** Connects to an export. Rejects when the server does not let us in. */
  static async open(port: number, name: string): Promise<LiveClient> {
    const client = new LiveClient(connect({ port, host: '127.0.0.1', noDelay: true }));
    try {
      await client.negotiate(name);
      return client;
    } catch (error) {
      client.socket.destroy();
      throw error;
    }
  }

  async read(offset: number, length: number): Promise<Buffer> {
    await this.request(READ, offset, length);
    return this.take(length);
  }

  async write(offset: number, data: Buffer): Promise<void> {
    await this.request(WRITE, offset, data.length, data);
  }

  /** Resolves when the disk says that everything written before is on it. */
  async flush(): Promise<void> {
    await this.request(FLUSH, 0, 0);
  }

  /** Says good-bye and waits until the server has hung up. */
  async close(): Promise<void> {
    if (this.ended) return;
    const closed = new Promise<void>((resolve) => {
      this.socket.once('close', () => resolve());
    });
    this.send(DISCONNECT, 0, 0);
    await closed;
  }

  /** Ends as a process does that is killed: says nothing, and waits for nobody. */
  vanish(how: 'closed' | 'reset'): void {
    if (how === 'reset') this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  private async negotiate(name: string): Promise<void> {
    const greeting = await this.take(18);
    if (greeting.toString('latin1', 0, 16) !== 'NBDMAGICIHAVEOPT') throw new Error('not an NBD server');
    const text = Buffer.from(name);
    const words = Buffer.alloc(4 + 8 + 8 + 4);
    words.writeUInt32BE(3, 0);
    OPTION_MAGIC.copy(words, 4);
    words.writeUInt32BE(GO, 12);
    words.writeUInt32BE(text.length + 6, 16);
    words.writeUInt32BE(text.length, 20);
    this.socket.write(Buffer.concat([words, text, Buffer.alloc(2)]));
    for (;;) {
      const head = await this.take(20);
      const data = await this.take(head.readUInt32BE(16));
      const type = head.readUInt32BE(12);
      if (type === ACK) return;
      if (type !== INFO) throw new Error(`refused (${type.toString(16)})`);
      if (data.readUInt16BE(0) === 0) this.size = Number(data.readBigUInt64BE(2));
    }
  }

  private async request(command: number, offset: number, length: number, data?: Buffer): Promise<void> {
    const handle = this.send(command, offset, length, data);
    const head = await this.take(16);
    if (head.readUInt32BE(0) !== 0x67446698 || head.readBigUInt64BE(8) !== handle)
      throw new Error('not the answer to our request');
    if (head.readUInt32BE(4) !== 0) throw new Error(`error ${head.readUInt32BE(4)} of the disk`);
  }

  private send(command: number, offset: number, length: number, data: Buffer = Buffer.alloc(0)): bigint {
    this.handle += 1n;
    const head = Buffer.alloc(28);
    head.writeUInt32BE(0x25609513, 0);
    head.writeUInt16BE(command, 6);
    head.writeBigUInt64BE(this.handle, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    this.socket.write(Buffer.concat([head, data]));
    return this.handle;
  }

  private async take(length: number): Promise<Buffer> {
    while (this.unread.length < length) {
      if (this.ended) throw this.ended;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const data = this.unread.subarray(0, length);
    this.unread = this.unread.subarray(length);
    return data;
  }

  private end(reason: Error): void {
    this.ended ??= reason;
    this.wake();
  }
}
