import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';

const CTRL_C = '\u0003';
const dir = mkdtempSync(join(tmpdir(), 'volume-demo-test-'));
let terminal: ChildProcess | null = null;
afterEach(() => {
  terminal?.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

/** All processes of the demo know its folder for temporary files, by their environment or their arguments. */
function processesOfTheDemo() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [environment, command] = ['environ', 'cmdline'].map((file) =>
          readFileSync(`/proc/${pid}/${file}`, 'utf8').replaceAll('\0', ' '),
        );
        return `${environment}${command}`.includes(dir) ? [command] : [];
      } catch {
        return []; // it has ended, or belongs to another user
      }
    });
}

/** But what the compiler of TypeScript, and npm on newer Nodes, keep for the next time. */
const leftovers = () => readdirSync(dir).filter((name) => !/^(tsx-|node-compile-cache$)/.test(name));

it('Ctrl-C on a terminal ends npm run demo -- --keep, with all its processes and files', async () => {
  // A terminal of its own, as an operator has: the key reaches npm, the demo, the daemon and
  // the database at once.
  const shell = spawn('script', ['-qec', 'npm run demo -- --keep', '/dev/null'], {
    env: { ...process.env, TMPDIR: dir },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  terminal = shell;
  const ended = once(shell, 'exit');
  let text = '';
  shell.stdout.setEncoding('utf8');
  for await (const chunk of shell.stdout.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.includes('Ctrl-C cleans up')) break;
  }
  expect(text).toContain('Everything is left running');
  const running = processesOfTheDemo().join('\n');
  for (const program of ['demo/main.ts', 'mariadbd', 'server/index.mjs', '--exports='])
    expect(running).toContain(program);
  expect(leftovers()).not.toEqual([]);
  shell.stdout.resume();
  shell.stdin.write(CTRL_C);
  await ended;
  await expect.poll(processesOfTheDemo, { timeout: 30_000 }).toEqual([]);
  expect(leftovers()).toEqual([]);
}, 180_000);
