import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { hasCode } from '../../core/has-code';

/*
 * The QEMU Machine Protocol as far as we need it: one JSON document a line, a greeting, `qmp_capabilities`,
 * then one answer for each command, with events in between (QEMU documentation, "QMP protocol
 * specification"). Input is bounded in size and time and parsed before it is used.
 */

/** Why a conversation with a monitor failed. */
export class QmpError extends Error {
  constructor(
    /**
     * `absent`: nobody listens on the socket; `silent`: no answer in time; `broken`: it hung up or does not
     * speak QMP; `refused`: it understood the command and refused it.
     */
    readonly kind: 'absent' | 'silent' | 'broken' | 'refused',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'QmpError';
  }
}

const greeting = z.object({ QMP: z.object({ version: z.object({ qemu: z.unknown() }) }) });
const answer = z.union([
  z.object({ id: z.number(), return: z.unknown() }),
  z.object({ id: z.number().optional(), error: z.object({ class: z.string(), desc: z.string() }) }),
  z.object({ event: z.string() }),
]);
const DESCRIPTION_CHARACTERS = 500;

interface QmpOptions {
  readonly path: string;
  /** For the greeting, and for each command. */
  readonly timeoutMs: number;
  /** The longest answer. */
  readonly maxBytes: number;
}

/** The commands of one conversation. */
export interface Qmp {
  /** Throws QmpError; an answer that does not fit the schema is `broken`. */
  execute<T>(command: string, schema: z.ZodType<T>, args?: Record<string, unknown>): Promise<T>;
}

/** Connects, negotiates, works, hangs up: a monitor talks to one client at a time. Throws QmpError. */
export async function withQmp<T>(options: QmpOptions, work: (qmp: Qmp) => Promise<T>): Promise<T> {
  const lines = new Lines(connect({ path: options.path }), options);
  try {
    if (!greeting.safeParse(await lines.next()).success)
      throw new QmpError('broken', `what listens on ${options.path} does not speak QMP`);
    const session = new Session(lines);
    await session.execute('qmp_capabilities', z.object({}));
    return await work(session);
  } finally {
    lines.close();
  }
}

class Session implements Qmp {
  private last = 0;

  constructor(private readonly lines: Lines) {}

  async execute<T>(command: string, schema: z.ZodType<T>, args?: Record<string, unknown>): Promise<T> {
    this.last += 1;
    const id = this.last;
    this.lines.send({ execute: command, ...(args ? { arguments: args } : {}), id });
    for (;;) {
      const parsed = answer.safeParse(await this.lines.next());
      if (!parsed.success) throw new QmpError('broken', `the answer to ${command} is not QMP`);
      const message = parsed.data;
      if ('event' in message) continue;
      if (message.id !== id) throw new QmpError('broken', `the answer to ${command} belongs to another one`);
      if ('error' in message)
        throw new QmpError('refused', `${command}: ${message.error.desc.slice(0, DESCRIPTION_CHARACTERS)}`);
      const result = schema.safeParse(message.return);
      if (!result.success) throw new QmpError('broken', `the answer to ${command} has an unknown form`);
      return result.data;
    }
  }
}

/** JSON lines of a socket, bounded. */
class Lines {
  private unread = Buffer.alloc(0);
  private ended: QmpError | null = null;
  private wake: () => void = () => {};

  constructor(
    private readonly socket: Socket,
    private readonly options: QmpOptions,
  ) {
    socket.on('data', (chunk: Buffer) => {
      this.unread = Buffer.concat([this.unread, chunk]);
      if (this.unread.length > options.maxBytes)
        this.end(new QmpError('broken', `an answer of more than ${options.maxBytes} bytes`));
      this.wake();
    });
    socket.on('error', (error) => {
      const absent = hasCode(error, 'ENOENT', 'ECONNREFUSED');
      this.end(
        new QmpError(absent ? 'absent' : 'broken', `${options.path}: ${error.message}`, { cause: error }),
      );
    });
    socket.on('close', () => this.end(new QmpError('broken', `${options.path}: the monitor hung up`)));
  }

  send(message: unknown): void {
    if (!this.ended) this.socket.write(`${JSON.stringify(message)}\n`);
  }

  /** The next document. Throws QmpError, `silent` when it does not come in time. */
  async next(): Promise<unknown> {
    const { path, timeoutMs } = this.options;
    const timer = setTimeout(
      () =>
        this.end(
          new QmpError(
            'silent',
            `no answer from ${path} within ${timeoutMs} ms (a monitor talks to one program at a time: is another connected?)`,
          ),
        ),
      timeoutMs,
    );
    try {
      let at = this.unread.indexOf('\n');
      while (at < 0) {
        if (this.ended) throw this.ended;
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        at = this.unread.indexOf('\n');
      }
      const line = this.unread.subarray(0, at).toString('utf8');
      this.unread = this.unread.subarray(at + 1);
      return parseLine(line);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.socket.destroy();
  }

  private end(reason: QmpError): void {
    this.ended ??= reason;
    this.socket.destroy();
    this.wake();
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new QmpError('broken', 'a line that is not JSON', { cause: error });
  }
}
