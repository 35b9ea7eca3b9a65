import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/**
 * A TCP proxy before a database that loses connections at the moment of a COMMIT: `before` loses the request
 * (it never reaches the server), `after` loses the answer (the server has committed).
 */
export class CuttingProxy {
  cut: 'before' | 'after' | null = null;
  /** Connections cut so far. */
  cuts = 0;
  private readonly server = createServer((client) => this.serve(client));
  private readonly sockets = new Set<Socket>();

  constructor(private readonly target: { host: string; port: number }) {}

  async start(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('no TCP address');
    return address.port;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private serve(client: Socket): void {
    const upstream = connect(this.target);
    let swallow = false;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.sockets.delete(socket);
        end();
      });
    }
    client.on('data', (data) => {
      if (this.cut !== null && isCommit(data)) {
        const { cut } = this;
        this.cut = null;
        this.cuts += 1;
        if (cut === 'before') return end();
        swallow = true;
      }
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      // The server has answered, so it has committed; the client never hears of it.
      if (swallow) end();
      else client.write(data);
    });
  }
}

/** A COM_QUERY packet (0x03 behind the four bytes of its header) that commits. */
function isCommit(data: Buffer): boolean {
  return (
    data[4] === 3 &&
    /^(commit$|update appliances|start transaction;.* commit$)/is.test(data.subarray(5).toString('latin1'))
  );
}
