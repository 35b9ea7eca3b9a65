import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensurePackages } from '../packages';

const run = promisify(execFile);

/** nbdcopy and nbdinfo against one port: clients that share no code with our own handshake. */
export function nbdClients({ port, dir }: { port: number; dir: string }) {
  ensurePackages(['nbdcopy', 'nbdinfo']);
  const uri = (name: string) => `nbd://127.0.0.1:${port}/${name}`;
  const running = new Set<ChildProcess>();
  let files = 0;
  const temporary = () => {
    files += 1;
    return join(dir, `client-${files}`);
  };
  return {
    uri,
    /** The first byte of an export, or what the client complains about. */
    firstByte: async (name: string): Promise<number | string> => {
      const file = temporary();
      try {
        await run('nbdcopy', ['--', uri(name), file]);
        return (await readFile(file))[0] ?? 'empty';
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      } finally {
        await rm(file, { force: true });
      }
    },
    size: async (name: string) => Number((await run('nbdinfo', ['--size', uri(name)])).stdout),
    write: async (name: string, content: Buffer) => {
      const file = temporary();
      await writeFile(file, content);
      await run('nbdcopy', ['--flush', '--', file, uri(name)]);
      await rm(file);
    },
    /** A copy that stands still in the middle, because nobody reads its output until `finish`. */
    begin: async (name: string) => {
      const client = spawn('nbdcopy', ['--connections=1', '--', uri(name), '-'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      running.add(client);
      const ended = once(client, 'exit').then(([code]) => code === 0);
      return {
        finish: async () => {
          let bytes = 0;
          for await (const chunk of client.stdout) bytes += chunk.length;
          return { bytes, complete: await ended };
        },
      };
    },
    /** Somebody who listens on the port and speaks no NBD. */
    takePort: async () => {
      const squatter = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
      await once(squatter, 'listening');
      return async () => {
        squatter.close();
        await once(squatter, 'close');
      };
    },
    close: async () => {
      for (const client of running) client.kill('SIGKILL');
    },
  };
}
