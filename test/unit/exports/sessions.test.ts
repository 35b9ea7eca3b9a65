import { describe, expect, it } from 'vitest';
import { rateOfClient, Sessions, sessionCommand, UNKNOWN_DISK } from '~/server/exports/nbdkit/sessions';

/** What the kernel would say: a process and the disk it has open, null before it has one. */
function world(bounds = { connections: 3, perExport: 2, handshakeMs: 1_000 }) {
  const processes = new Map<number, string | null>();
  const sessions = new Sessions(bounds, {
    isServing: (pid) => processes.has(pid),
    diskOf: (pid) => processes.get(pid) ?? null,
  });
  return {
    sessions,
    connect: (pid: number, now = 0) => {
      processes.set(pid, null);
      sessions.add(pid, now);
    },
    open: (pid: number, disk: string) => processes.set(pid, disk),
    leave: (pid: number) => processes.delete(pid),
  };
}

describe('who may connect', () => {
  it('so many in all; the refusal says how many there are, and what to change', () => {
    const { sessions, connect } = world();
    for (const pid of [1, 2, 3]) {
      expect(sessions.refusal()).toBeNull();
      connect(pid);
    }
    expect(sessions.refusal()).toMatch(/^3 clients are connected.*NBD_MAX_CONNECTIONS/);
  });

  it('one that has left makes room, also when its end was never reported: another holder had let it in', () => {
    const { sessions, connect, leave } = world();
    for (const pid of [1, 2, 3]) connect(pid);
    leave(2);
    expect(sessions.refusal()).toBeNull();
    sessions.ended(1);
    expect(sessions.pids()).toEqual([3]);
  });

  it('so many for one export: the last one to ask is ended, whoever connected first', () => {
    const { sessions, connect, open } = world();
    for (const pid of [1, 2, 3]) connect(pid);
    open(3, 'a');
    open(2, 'a');
    expect(sessions.review(1)).toEqual([]);
    open(1, 'a');
    expect(sessions.review(2)).toEqual([{ pid: 1, reason: expect.stringContaining('NBD_MAX_PER_EXPORT') }]);
  });

  it('other exports do not count', () => {
    const { sessions, connect, open } = world();
    for (const [pid, disk] of [
      [1, 'a'],
      [2, 'b'],
      [3, 'a'],
    ] as const) {
      connect(pid);
      open(pid, disk);
    }
    expect(sessions.review(1)).toEqual([]);
  });

  it('disks that the kernel does not name are not taken for one', () => {
    const { sessions, connect, open } = world();
    for (const pid of [1, 2, 3]) connect(pid);
    for (const pid of [1, 2, 3]) open(pid, UNKNOWN_DISK);
    expect(sessions.review(1)).toEqual([]);
  });

  it('who never asks for an export is ended, and only then', () => {
    const { sessions, connect } = world();
    connect(1, 0);
    expect(sessions.areUndecided).toBe(true);
    expect(sessions.review(1_000)).toEqual([]);
    expect(sessions.review(1_001)).toEqual([{ pid: 1, reason: expect.stringContaining('1000 ms') }]);
  });

  it('one that copies is never looked at again', () => {
    const { sessions, connect, open } = world();
    connect(1, 0);
    open(1, 'a');
    sessions.review(10);
    expect(sessions.areUndecided).toBe(false);
    expect(sessions.review(1_000_000)).toEqual([]);
  });
});

describe('what a client may take', () => {
  it.each([
    ['no limit', 0, 16, null],
    ['all clients together never take more than the export may', 160_000_000, 16, 80_000_000],
    ['a limit is never rounded to 0, which would be none', 1, 1_000, 1],
  ])('%s', (_what, bytes, perExport, bits) => {
    expect(rateOfClient(bytes, perExport)).toBe(bits);
  });

  it('nbdkit is told before it says a word to the client', () => {
    const door = { exportsDir: '/run/exports', readOnly: true };
    expect(sessionCommand({ nbdkit: 'nbdkit', args: ['--tls=on'], rate: 8_000 }, door).slice(3)).toEqual([
      ...['nbdkit', '-t', '8', '--filter=rate', '--tls=on', '-r', '-s', 'file'],
      ...['dir=/run/exports', 'rate=8000'],
    ]);
    expect(sessionCommand({ nbdkit: 'nbdkit', args: [], rate: null }, door).slice(3)).toEqual([
      ...['nbdkit', '-t', '8', '-r', '-s', 'file', 'dir=/run/exports'],
    ]);
  });
});
