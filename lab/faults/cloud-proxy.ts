import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

/** A call on its way to CloudStack. */
export interface Call {
  readonly command: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** What happens to one call. A cut loses the connection, and with it the call or its answer. */
export interface CallRuling {
  readonly before?: () => Promise<'on' | 'cut'>;
  readonly after?: () => Promise<'on' | 'cut'>;
}

/**
 * An HTTP proxy before the simulated CloudStack: it can hold or lose single calls before they arrive, or
 * their answers.
 */
export class CloudProxy {
  judge: (call: Call) => CallRuling | null = () => null;
  private readonly agent = new Agent({ keepAlive: true });
  private readonly server = createServer((incoming, outgoing) => {
    this.serve(incoming, outgoing).catch(() => incoming.socket.destroy());
  });

  /** `port` of the real one. */
  constructor(private readonly target: { readonly port: number }) {}

  /** Resolves with the address that stands in for the real one. */
  async listen(): Promise<string> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('no TCP address');
    return `http://127.0.0.1:${address.port}/client/api`;
  }

  async stop(): Promise<void> {
    this.agent.destroy();
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await bytesOf(incoming);
    const url = new URL(incoming.url ?? '/', 'http://localhost');
    const parameters = new Map([...url.searchParams, ...new URLSearchParams(body.toString('utf8'))]);
    const ruling = this.judge({ command: parameters.get('command') ?? '', parameters });
    if ((await ruling?.before?.()) === 'cut') return void incoming.socket.destroy();
    const answer = await this.forward(incoming, body);
    if ((await ruling?.after?.()) === 'cut') return void incoming.socket.destroy();
    outgoing.writeHead(answer.status, answer.headers).end(answer.body);
  }

  private async forward(incoming: IncomingMessage, body: Buffer) {
    const { connection: _, ...headers } = incoming.headers;
    const call = request({
      host: '127.0.0.1',
      port: this.target.port,
      path: incoming.url,
      method: incoming.method,
      headers,
      agent: this.agent,
    });
    call.end(body);
    const [answer]: IncomingMessage[] = await once(call, 'response');
    if (!answer) throw new Error('no answer');
    const { connection: __, 'transfer-encoding': ___, ...kept } = answer.headers;
    return { status: answer.statusCode ?? 502, headers: kept, body: await bytesOf(answer) };
  }
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
