import { createConnection, type Socket } from 'node:net';

export interface AgentAnswer {
  readonly output: string;
  readonly status: number;
}

/**
 * Runs scripts in the guest through its agent (guest-files/usr/local/sbin/appliance-agent). One connection
 * per script.
 */
export class Agent {
  constructor(private readonly port: number) {}

  /** Output of a bash script; throws when it ends with another status than 0. */
  async run(script: string, input?: Buffer): Promise<string> {
    const { output, status } = await this.try(script, input);
    if (status !== 0)
      throw new Error(`in the guest, ${JSON.stringify(script)} ended with ${status}:\n${output}`);
    return output.trimEnd();
  }

  /** The same without judging the status. Throws when the connection breaks before the script has ended. */
  async try(script: string, input?: Buffer, patience = 900_000): Promise<AgentAnswer> {
    const socket = await this.open(script);
    const chunks: Buffer[] = [];
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.destroy();
        reject(new Error(`in the guest, ${JSON.stringify(script)} did not end within ${patience / 1000} s`));
      }, patience);
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('close', () => {
        clearTimeout(timer);
        const text = Buffer.concat(chunks).toString('utf8');
        const end = /\n?::exit (\d+)\n$/.exec(text);
        if (!end)
          return reject(new Error(`the guest's agent did not answer ${JSON.stringify(script)}: ${text}`));
        resolve({ output: text.slice(0, end.index), status: Number(end[1]) });
      });
      if (input) socket.write(input);
      socket.end();
    });
  }

  /** A script whose input and output stay connected. */
  async open(script: string): Promise<Socket> {
    const socket = createConnection(this.port, '127.0.0.1');
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.on('error', () => {});
    socket.write(`${Buffer.from(script).toString('base64')}\n`);
    return socket;
  }
}
