import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { setCurrentDaemon } from '~/server/daemon/current';
import { forceSync, type SyncTaskResult } from '~/server/http/force-sync';
import { syncReport } from '~/test/support/canned';
import { FakeDaemon } from '~/test/support/fake-daemon';
import { nitroRuntime } from '~/test/support/nitro-runtime';

vi.mock('nitropack/runtime', async () => (await import('~/test/support/nitro-runtime')).nitroRuntime);

const TASKS = ['devices:poll', 'operations:sweep', 'sync:force', 'sync:reconcile', 'history:prune'];
const run = async (name: string, payload: object = {}) =>
  (await nitroRuntime.runTask(name, { payload })).result;

let daemon: FakeDaemon;
beforeEach(() => {
  daemon = new FakeDaemon();
  setCurrentDaemon(daemon);
});
afterEach(() => setCurrentDaemon(null));

describe('scheduled tasks', () => {
  it('do their work when the daemon is ready', async () => {
    expect(await run('devices:poll')).toEqual({ devices: 1 });
    expect(await run('operations:sweep')).toEqual({ resumed: 1, claimed: 2 });
    expect(await run('history:prune')).toEqual({ deleted: 3 });
    expect(await run('sync:reconcile')).toEqual({ drifts: 1 });
    expect(daemon.requests).toEqual([{ type: 'sync', request: { dryRun: false, reason: 'schedule' } }]);
  });

  it.each(TASKS)('%s is skipped while there is no daemon, and while it starts or stops', async (name) => {
    for (const phase of ['starting', 'stopping'] as const) {
      daemon.phase = phase;
      expect(await run(name)).toBe('skipped');
    }
    setCurrentDaemon(null);
    expect(await run(name)).toBe('skipped');
  });

  it('in standby only poll the devices', async () => {
    daemon.phase = 'standby';
    const results = await Promise.all(TASKS.map((name) => run(name)));
    expect(results).toEqual([{ devices: 1 }, 'skipped', 'skipped', 'skipped', 'skipped']);
  });

  it('are skipped when a dependency is unavailable, but do not hide a bug', async () => {
    daemon.failure = new DaemonError('DATABASE_UNAVAILABLE', 'away');
    expect(await run('operations:sweep')).toBe('skipped');
    daemon.failure = new TypeError('x is not a function');
    await expect(run('operations:sweep')).rejects.toThrow(TypeError);
  });

  it('report a sync that is not due yet as skipped', async () => {
    daemon.sync.last = syncReport(false, 'start');
    expect(await run('sync:reconcile')).toBe('skipped');
    daemon.sync.last = null;
    expect(await run('sync:reconcile')).toEqual({ drifts: 1 });
  });
});

describe('a forced sync', () => {
  it('runs the task and returns its report', async () => {
    const report = await forceSync(daemon, true, async (payload) => ({
      payload,
      report: syncReport(payload.dryRun, 'force-sync'),
    }));
    expect(report.dryRun).toBe(true);
    expect(daemon.requests).toEqual([]);
  });

  it.each([
    [true, false],
    [false, true],
    [true, true],
    [false, false],
  ])(
    'that joined a run which had begun before (dry run: %s, that one: %s) gets a run of its own',
    async (dryRun, otherDryRun) => {
      const report = await forceSync(daemon, dryRun, async () => ({
        payload: { dryRun: otherDryRun },
        report: syncReport(otherDryRun, 'force-sync'),
      }));
      expect(report.dryRun).toBe(dryRun);
      expect(daemon.requests).toEqual([{ type: 'sync', request: { dryRun, reason: 'force-sync' } }]);
    },
  );

  it('that is asked for while one runs is answered by a look that begins after that', async () => {
    const begun: string[] = [];
    let finish = () => {};
    const gate = new Promise<void>((resolve) => {
      finish = resolve;
    });
    vi.spyOn(daemon.sync, 'run').mockImplementation(async ({ dryRun, reason }) => {
      const number = begun.push(reason);
      if (number === 1) await gate;
      return { ...syncReport(dryRun, reason), startedAt: number };
    });
    const ask = () =>
      forceSync(daemon, false, async (payload) => {
        const { result } = await nitroRuntime.runTask('sync:force', { payload });
        return result as SyncTaskResult;
      });
    const first = ask();
    await vi.waitFor(() => expect(begun).toHaveLength(1));
    const second = ask();
    finish();
    expect([(await first).startedAt, (await second).startedAt]).toEqual([1, 2]);
  });

  it('fails with the error of its own run, and not with that of one that it joined', async () => {
    const away = new DaemonError('DATABASE_UNAVAILABLE', 'away');
    let fail = () => {};
    vi.spyOn(daemon.sync, 'run').mockImplementationOnce(async () => {
      await new Promise<void>((resolve) => {
        fail = resolve;
      });
      throw away;
    });
    const ask = () =>
      forceSync(daemon, false, async (payload) => {
        const { result } = await nitroRuntime.runTask('sync:force', { payload });
        return result as SyncTaskResult;
      });
    const first = ask();
    await vi.waitFor(() => expect(daemon.sync.run).toHaveBeenCalledTimes(1));
    const second = ask();
    fail();
    await expect(first).rejects.toBe(away);
    expect(await second).toMatchObject({ dryRun: false });
  });

  it('that joined a run which was skipped gets one of its own where the daemon is ready by now', async () => {
    expect(await forceSync(daemon, true, async () => 'skipped')).toMatchObject({ dryRun: true });
  });

  it('in standby fails and says who owns the appliance', async () => {
    daemon.phase = 'standby';
    daemon.refusal = new DaemonError('STANDBY', 'Another daemon owns this appliance: oma-2');
    await expect(forceSync(daemon, false, async () => 'skipped')).rejects.toMatchObject({
      code: 'STANDBY',
      message: expect.stringContaining('oma-2'),
    });
  });
});
