import { EventEmitter } from 'node:events';
import { createConnection, type Socket } from 'node:net';

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly command: string;
}

/** QEMU's control socket: commands answered in their own time, and events. */
export class Qmp {
  private readonly waiting = new Map<number, Waiting>();
  private readonly events = new EventEmitter().setMaxListeners(0);
  private lastId = 0;
  private text = '';

  private constructor(private readonly socket: Socket) {
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.read(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.fail(new Error('QEMU has closed its control socket')));
  }

  /** Connects to a listening socket and leaves the negotiation behind. */
  static async connect(path: string): Promise<Qmp> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const qmp = new Qmp(socket);
    await qmp.run('qmp_capabilities');
    return qmp;
  }

  /** Runs one command; throws with QEMU's own words. */
  run(command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    this.lastId += 1;
    const id = this.lastId;
    const line = JSON.stringify({ execute: command, arguments: args, id });
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) return reject(new Error(`${command}: QEMU does not run`));
      this.waiting.set(id, { resolve, reject, command });
      this.socket.write(`${line}\n`);
    });
  }

  /**
   * A command of the human monitor (savevm has no other form in this QEMU's QMP without jobs). Returns what
   * it printed.
   */
  async monitor(line: string): Promise<string> {
    return String(await this.run('human-monitor-command', { 'command-line': line }));
  }

  /** Calls back for every event; the returned function ends that. */
  onEvent(callback: (event: QmpEvent) => void): () => void {
    this.events.on('event', callback);
    return () => this.events.off('event', callback);
  }

  close(): void {
    this.socket.destroy();
  }

  private read(chunk: string): void {
    this.text += chunk;
    const lines = this.text.split('\n');
    this.text = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') this.take(JSON.parse(line));
  }

  private take(message: Readonly<Record<string, unknown>>): void {
    if (typeof message.event === 'string') {
      const data = Object.fromEntries(Object.entries(message.data ?? {}));
      this.events.emit('event', { event: message.event, data });
      return;
    }
    const waiting = this.waiting.get(Number(message.id));
    if (!waiting) return;
    this.waiting.delete(Number(message.id));
    if (!('error' in message)) {
      waiting.resolve(message.return);
      return;
    }
    const { desc = 'no reason given' } = Object.fromEntries(Object.entries(message.error ?? {}));
    waiting.reject(new Error(`${waiting.command}: ${String(desc)}`));
  }

  private fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
