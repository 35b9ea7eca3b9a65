import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const ENTRY = fileURLToPath(new URL('../../../.output/server/index.mjs', import.meta.url));
let dir: string;
const servers: Server[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'port-taken-'));
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(dir, { recursive: true, force: true });
});

async function taken(onConnection: () => void = () => {}): Promise<number> {
  const server = createServer((socket) => {
    onConnection();
    socket.destroy();
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

it('a daemon whose port another one has, such as the daemon before it, ends without having asked the database', async () => {
  let asked = 0;
  const [port, database] = [
    await taken(),
    await taken(() => {
      asked += 1;
    }),
  ];
  const env = {
    PATH: process.env.PATH,
    PORT: String(port),
    NBD_BACKEND: 'none',
    DATABASE_DSN: `user:password@tcp(127.0.0.1:${database})/database`,
    RUNTIME_DIRECTORY: join(dir, 'run'),
    STATE_DIRECTORY: join(dir, 'state'),
  };
  const daemon = spawn(process.execPath, [ENTRY], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const said: Buffer[] = [];
  daemon.stdout.on('data', (chunk: Buffer) => said.push(chunk));
  const [code] = await once(daemon, 'close');
  const log = Buffer.concat(said).toString();
  expect(log).toContain('"msg":"The daemon cannot listen where it is told to"');
  expect(log).not.toContain('programming error');
  expect([code, asked]).toEqual([1, 0]);
});
