import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { processInstances } from '~/server/daemon/process-instance';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});

function procOf(bootId: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'proc-'));
  dirs.push(dir);
  mkdirSync(join(dir, 'sys/kernel/random'), { recursive: true });
  writeFileSync(join(dir, 'sys/kernel/random/boot_id'), `${bootId}\n`);
  return dir;
}

describe('the process that owns', () => {
  it('is known to have ended once it is no more on this machine, and not before', async () => {
    const proc = procOf('one-boot');
    const child = spawn('sleep', ['60']);
    const { mine } = processInstances(proc, child.pid);
    const here = processInstances(proc);
    expect(here.hasEnded(mine)).toBe(false);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    expect(here.hasEnded(mine)).toBe(true);
  });

  it('was another one, or we ourselves, when it has our own number', () => {
    const here = processInstances(procOf('one-boot'));
    expect(here.hasEnded(here.mine)).toBe(true);
  });

  it('is not known to have ended on another machine, in another boot or namespace, or when it has not said', () => {
    const proc = procOf('one-boot');
    const gone = 2 ** 22 + 1;
    const here = processInstances(proc);
    expect(here.hasEnded(processInstances(proc, gone).mine)).toBe(true);
    // Names of other boots and namespaces are as long as ours.
    expect(here.hasEnded(processInstances(procOf('next-one'), gone).mine)).toBe(false);
    const { mine } = processInstances(proc, gone);
    expect(here.hasEnded(mine.replace(/\d(?=\/\d+$)/, (last) => (last === '1' ? '2' : '1')))).toBe(false);
    expect(here.hasEnded(mine.replace(/\d+(?=\/\d+$)/, '1'))).toBe(false);
    for (const nothing of ['', '/', 'one-boot//', `${here.mine.replace(/\d+$/, '')}x`])
      expect(here.hasEnded(nothing)).toBe(false);
  });

  it('is not known to have ended when it is somebody else’s, whom we may not ask', () => {
    const here = processInstances(procOf('one-boot'));
    const { mine } = processInstances(procOf('one-boot'), 1);
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
    });
    const ended = here.hasEnded(mine);
    kill.mockRestore();
    expect(ended).toBe(false);
  });

  it('proves nothing where the machine does not say which boot it is', () => {
    expect(processInstances(procOf('')).mine).toBe('');
    const unknown = processInstances(join(tmpdir(), 'there-is-no-such-folder'));
    expect(unknown.mine).toBe('');
    expect(unknown.hasEnded('')).toBe(false);
  });
});
