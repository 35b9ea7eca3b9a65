import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { commandLine } from '~/server/devices/sysfs/process-table';
import { findListener } from '~/server/devices/sysfs/socket-table';

/** A server that calls itself something else, as Node 24 does, and says its port. */
const RENAMED = `
  require('node:fs').writeFileSync('/proc/self/comm', 'MainThread');
  const server = require('node:net').createServer();
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function listen(mark: string) {
  const child = spawn(process.execPath, ['-e', RENAMED, mark], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = await once(child.stdout, 'data');
  return { pid: child.pid, port: Number(String(line)) };
}

const isMarked = (mark: string) => (pid: number) => commandLine(pid).includes(mark);

it('finds the listener of ours whatever its process calls itself, without a pid file', async () => {
  const { pid, port } = await listen('of-ours');
  expect(await findListener(isMarked('of-ours'), port, '/nowhere.pid')).toBe(pid);
});

it('takes nobody else on the port for ours', async () => {
  const { port } = await listen('of-theirs');
  expect(await findListener(isMarked('of-ours'), port, '/nowhere.pid')).toBeNull();
});
