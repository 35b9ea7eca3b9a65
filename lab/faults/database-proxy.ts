import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import {
  Frames,
  queryFrame,
  type Refusal,
  refusalAtGreeting,
  refusalOfQuery,
  textOfQuery,
} from './mysql-frames';

/** A statement on its way to the server. */
export interface Statement {
  readonly text: string;
  /** The statements of the open transaction before this one, its BEGIN first; empty outside a transaction. */
  readonly before: readonly string[];
}

/**
 * The statements that this one commits, or null: those of its transaction, or an INSERT outside one itself.
 */
export function committedBy({ text, before }: Statement): readonly string[] | null {
  if (/^commit/i.test(text)) return before;
  return before.length === 0 && /^insert/i.test(text) ? [text] : null;
}

/** What happens to one statement. A cut loses the connection, and with it the statement or its answer. */
export interface Ruling {
  /** Resolves when the statement may go on to the server. */
  readonly before?: () => Promise<'on' | 'cut'>;
  /** Resolves when the answer may go on to the client; the server has done the statement by then. */
  readonly after?: () => Promise<'on' | 'cut'>;
  /** The server is given this instead of the statement. */
  readonly instead?: string;
  /**
   * The client gets this error for an answer, and the server does nothing: of a COMMIT it rolls back.
   */
  readonly refusal?: Refusal;
  /** Only so many bytes of the answer arrive; then the connection is cut. */
  readonly answerBytes?: number;
}

/**
 * A TCP proxy before MariaDB that understands the statements of its clients. `judge` rules over single
 * statements; the rest are faults of the network: nothing listens, the server has no room, everything is
 * slow, or nothing moves any more.
 */
export class DatabaseProxy {
  judge: (statement: Statement) => Ruling | null = () => null;
  /** ms that every packet takes longer, in each direction. */
  delay = 0;
  /** New connections are greeted with this error. */
  greeting: Refusal | null = null;
  private port = 0;
  private frozen: { readonly thawed: Promise<void>; readonly thaw: () => void } | null = null;
  private server: Server | null = null;
  private readonly links = new Set<Link>();

  constructor(private readonly target: { readonly host: string; readonly port: number }) {}

  /** Listens, on the port it had before if it had one; resolves with the port. */
  async listen(): Promise<number> {
    const server = createServer((client) => this.serve(client));
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no TCP address');
    this.port = address.port;
    this.server = server;
    return this.port;
  }

  /** From now on connections are refused; those that stand go on standing. */
  refuse(): void {
    this.server?.close();
    this.server = null;
  }

  /** Every connection is reset. */
  cutAll(): void {
    for (const link of this.links) link.cut();
  }

  /** Nothing moves on any connection, without a word: what a network that has lost its middle looks like. */
  freeze(): void {
    if (this.frozen) return;
    let thaw = () => {};
    const thawed = new Promise<void>((resolve) => {
      thaw = resolve;
    });
    this.frozen = { thawed, thaw };
  }

  /**
   * Things move again: what stood still is delivered, or (`lost`) stays silent for ever on the connections
   * that stood still.
   */
  thaw(standing: 'delivered' | 'lost' = 'delivered'): void {
    if (standing === 'lost') for (const link of this.links) link.deaden();
    this.frozen?.thaw();
    this.frozen = null;
  }

  /** Connections that stand. */
  get size(): number {
    return this.links.size;
  }

  async stop(): Promise<void> {
    this.thaw();
    this.refuse();
    this.cutAll();
  }

  /** Resolves when a packet may pass. */
  async passage(): Promise<void> {
    while (this.frozen) await this.frozen.thawed;
    if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
  }

  private serve(client: Socket): void {
    if (this.greeting) {
      client.on('error', () => {});
      client.end(refusalAtGreeting(this.greeting));
      return;
    }
    const link: Link = new Link(this, client, connect(this.target), () => this.links.delete(link));
    this.links.add(link);
  }
}

/** One connection through the proxy. Each direction is a chain, so that order survives every wait. */
class Link {
  private readonly frames = new Frames();
  private toServer: Promise<void> = Promise.resolve();
  private toClient: Promise<void> = Promise.resolve();
  private transaction: string[] = [];
  /** What rules over the answer to the statement that the server is working on. */
  private answer: Ruling | null = null;
  private dead = false;

  constructor(
    private readonly proxy: DatabaseProxy,
    private readonly client: Socket,
    private readonly upstream: Socket,
    private readonly closed: () => void,
  ) {
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.cut());
      socket.on('close', () => this.cut());
    }
    client.on('data', (chunk) => {
      for (const frame of this.frames.push(chunk)) this.toServer = this.toServer.then(() => this.ask(frame));
    });
    upstream.on('data', (chunk) => {
      this.toClient = this.toClient.then(() => this.tell(chunk));
    });
  }

  cut(): void {
    if (this.client.destroyed && this.upstream.destroyed) return;
    this.client.destroy();
    this.upstream.destroy();
    this.closed();
  }

  deaden(): void {
    this.dead = true;
  }

  private async ask(frame: Buffer): Promise<void> {
    await this.proxy.passage();
    if (this.dead || this.client.destroyed) return;
    const text = textOfQuery(frame);
    const ruling = text === null ? null : this.ruling(text);
    if ((await ruling?.before?.()) === 'cut') return this.cut();
    this.answer = ruling;
    const harmless = text !== null && /^commit/i.test(text) ? 'ROLLBACK' : 'DO 0';
    const instead = ruling?.refusal ? harmless : ruling?.instead;
    this.upstream.write(instead === undefined ? frame : queryFrame(instead));
  }

  private ruling(text: string): Ruling | null {
    // A packet with a transaction of its own is its COMMIT, after the rest of it.
    const packet = statementsOf(text);
    const commit = packet.length > 1 ? packet.pop() : undefined;
    if (commit !== undefined) return this.proxy.judge({ text: commit, before: packet });
    const ruling = this.proxy.judge({ text, before: this.transaction });
    if (/^(begin|start transaction)/i.test(text)) this.transaction = [text];
    else if (/^(commit|rollback)/i.test(text)) this.transaction = [];
    else if (this.transaction.length > 0) this.transaction.push(text);
    return ruling;
  }

  private async tell(chunk: Buffer): Promise<void> {
    const { answer } = this;
    this.answer = null;
    await this.proxy.passage();
    if (this.dead || this.client.destroyed) return;
    if ((await answer?.after?.()) === 'cut') return this.cut();
    if (answer?.refusal) {
      this.client.write(refusalOfQuery(answer.refusal));
      return;
    }
    if (answer?.answerBytes === undefined) {
      this.client.write(chunk);
      return;
    }
    this.client.write(chunk.subarray(0, answer.answerBytes), () => this.cut());
  }
}

/** The statements of a text; a semicolon in a literal separates none. */
function statementsOf(text: string): string[] {
  const parts = text.match(/(?:'(?:[^'\\]|\\.)*'|[^';])+/gs) ?? [text];
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}
