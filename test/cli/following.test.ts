import { describe, expect, it } from 'vitest';
import { seen } from '~/server/model/evidence';
import { deviceEvent, VOLUME } from '~/test/support/canned';
import { FakeDaemon } from '~/test/support/fake-daemon';
import { Volumectl } from './process';
import { app, ctl, daemon, env, restart } from './volumectl-in-memory';

describe('--wait', () => {
  it('names each step as it happens, and ends with the operation', async () => {
    const running = Volumectl.start(['volume', 'detach', VOLUME, '--wait'], env);
    await running.until(/detach 6f1d2c3b-[\w-]+: pending/, 'error');
    const id = daemon.stored[0]?.id ?? '';
    daemon.journal(id, 'detach-volume', 'intent');
    await running.until(/: detach-volume: CloudStack is to be asked/, 'error');
    daemon.journal(id, 'detach-volume', 'accepted');
    await running.until(/: detach-volume: CloudStack works on it/, 'error');
    daemon.move(id, { status: 'completed', response: {}, completedAt: 1 });
    const { code, out } = await running.ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^status +completed$/m);
  });

  it('through a restart of the daemon: the steps are named again, and what was said of it meanwhile is not said any more', async () => {
    const running = Volumectl.start(['volume', 'detach', VOLUME, '--wait'], env);
    await running.until(/: pending/, 'error');
    const id = daemon.stored[0]?.id ?? '';
    daemon.journal(id, 'detach-volume', 'intent');
    await running.until(/: detach-volume: CloudStack is to be asked/, 'error');
    const { port } = app;
    // A daemon that stops ends its streams as if there were nothing more to come.
    daemon.stop();
    await app.close();
    await running.until(/the daemon does not answer/, 'error');
    const next = new FakeDaemon();
    next.stored.push(...daemon.stored);
    next.entries.push(...daemon.entries);
    await restart(port, next);
    await running.until(/does not answer[\s\S]*: detach-volume: CloudStack is to be asked/, 'error');
    daemon.journal(id, 'detach-volume', 'accepted');
    await running.until(/: detach-volume: CloudStack works on it/, 'error');
    daemon.move(id, { status: 'completed', response: {}, completedAt: 1 });
    expect((await running.ended).code).toBe(0);
  });

  it('3: a failed operation gives its reason, its code and what to do', async () => {
    const running = Volumectl.start(['volume', 'detach', VOLUME, '--wait', '--json'], env);
    await running.until(/: pending/, 'error');
    daemon.move(daemon.stored[0]?.id ?? '', {
      status: 'failed',
      error: 'device is mounted on /mnt',
      errorCode: 'DEVICE_IN_USE',
      completedAt: 1,
    });
    const { code, out, error } = await running.ended;
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ status: 'failed', error_code: 'DEVICE_IN_USE' });
    expect(error).toContain('the detach has failed: device is mounted on /mnt (DEVICE_IN_USE)');
    expect(error).toContain('fix: Stop what details names');
  });

  it('--quiet says nothing but the result', async () => {
    const running = Volumectl.start(
      ['volume', 'detach', VOLUME, '--wait', '--quiet', '--columns', 'status', '--no-headers'],
      env,
    );
    await expect.poll(() => daemon.stored).toHaveLength(1);
    daemon.move(daemon.stored[0]?.id ?? '', { status: 'completed', completedAt: 1 });
    expect(await running.ended).toEqual({ code: 0, out: 'completed\n', error: '' });
  });

  it('130: Ctrl-C ends the waiting, not the operation', async () => {
    const running = Volumectl.start(['volume', 'detach', VOLUME, '--wait'], env);
    await running.until(/: pending/, 'error');
    running.child.kill('SIGINT');
    const { code, error } = await running.ended;
    expect(code).toBe(130);
    expect(error).toContain('goes on by itself');
    expect(daemon.stored[0]).toMatchObject({ status: 'pending', cancelRequested: false });
  });
});

describe('on a terminal', () => {
  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('130: %s at a question does nothing, and is no mistake', async (_, key) => {
    const running = Volumectl.onTerminal(['volume', 'delete', VOLUME], env);
    await running.until(/\[y\/N\]/);
    running.child.stdin?.write(key);
    const { code, out } = await running.ended;
    expect([code, out]).toEqual([130, expect.stringContaining('interrupted; nothing more was done')]);
    expect(out).not.toContain('mistake');
    expect(daemon.stored).toEqual([]);
  });
});

describe('following', () => {
  it('events come as they happen, one JSON a line, and are taken up where a break was', async () => {
    const { id } = await daemon.operations.request('detach', { volume_id: VOLUME });
    const running = Volumectl.start(['events', '--after', '0', '--json', '--limit', '3'], env);
    await running.until(/\n/);
    const { port } = app;
    // The daemon restarts on its port: what happens meanwhile is replayed.
    await app.close();
    daemon.journal(id, 'check', 'done');
    await restart(port);
    await running.until(/"step":"check"/);
    daemon.journal(id, 'later', 'done');
    const { code, out } = await running.ended;
    expect(code).toBe(0);
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).id),
    ).toEqual([1, 2, 3]);
  });

  it('a break before anything has come is told: what happened meanwhile cannot be asked for', async () => {
    const running = Volumectl.start(['events', '--json', '--limit', '1'], env);
    await expect.poll(() => daemon.listening).toBe(1);
    const { port } = app;
    await app.close();
    daemon.journal('', 'unseen', 'note');
    await restart(port);
    await running.until(/what happened meanwhile may be missing/, 'error');
    daemon.journal('', 'seen', 'note');
    const { code, out } = await running.ended;
    expect([code, out]).toEqual([0, expect.stringContaining('"step":"seen"')]);
  });

  it('4: the limit was not reached in time', async () => {
    expect((await ctl('events', '--limit', '1', '--timeout', '300ms')).code).toBe(4);
    expect((await ctl('events', '--timeout', '300ms')).code).toBe(0);
    // 1004.9999999999999 ms: a timer takes whole ones only.
    expect(await ctl('events', '--limit', '1', '--timeout', '1.005')).toMatchObject({ code: 4, error: '' });
  });

  it.each(['30d', '60d'])(
    '--timeout %s, which no timer can wait, does not end it at once',
    async (timeout) => {
      const following = Volumectl.start(['events', '--limit', '1', '--timeout', timeout], env);
      const watching = Volumectl.start(['export', 'list', '--watch', '--json', '--timeout', timeout], env);
      await expect.poll(() => daemon.listening).toBe(1);
      await watching.until(/\n[\s\S]*\n/);
      watching.child.kill('SIGINT');
      daemon.journal('', 'one', 'note');
      expect(await following.ended).toMatchObject({ code: 0, error: '' });
      expect(await watching.ended).toMatchObject({ code: 0, error: '' });
    },
  );

  it('disks come and go under the list of those that are there', async () => {
    const running = Volumectl.start(['device', 'watch', '--limit', '1'], env);
    await running.until(/belongs to|BELONGS TO/);
    await expect.poll(() => daemon.listeningToDevices).toBe(1);
    daemon.device(deviceEvent(1));
    const { code, out } = await running.ended;
    expect(code).toBe(0);
    expect(out).toMatch(/\/dev\/vdb added {2}5 GiB, serial 6f1d2c3b4a5946879786, diskseq 7/);
  });

  it('after a break the disks are listed again: no change of that time is sent any more', async () => {
    const running = Volumectl.start(['device', 'watch', '--limit', '1'], env);
    // A daemon that goes away before the first list is not waited for.
    await running.until(/BELONGS TO/);
    const { port } = app;
    await app.close();
    await restart(port);
    await running.until(/BELONGS TO[\s\S]*BELONGS TO/);
    daemon.device(deviceEvent(1));
    expect((await running.ended).code).toBe(0);
  });

  it('traffic comes when it is asked for, and only then', async () => {
    const every = Volumectl.start(['events', '--json', '--limit', '1'], env);
    const only = Volumectl.start(['events', '--only', 'traffic', '--limit', '1'], env);
    await expect.poll(() => daemon.listeningToTraffic).toBe(2);
    daemon.flow(VOLUME);
    const { code, out } = await only.ended;
    expect(code).toBe(0);
    expect(out).toContain(`${VOLUME}  1 GiB of 4 GiB (25 %), 100 MiB/s written, 31.0 s left`);
    daemon.device(deviceEvent(1));
    expect(JSON.parse((await every.ended).out)).toMatchObject({ event: 'device' });
  });

  it('the list of exports is shown again and again, through a restart of the daemon', async () => {
    const running = Volumectl.start(['export', 'list', '--watch', '--json'], env);
    await running.until(/"share_written":0\.25[^\n]*\n/);
    const { port } = app;
    await app.close();
    daemon.activity = { ...daemon.activity, clients: seen(7, 0, 'export-server') };
    await restart(port);
    await running.until(/"clients":7[^\n]*\n/);
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
  });

  it('on a terminal in the same place: clients, share, rate and time left', async () => {
    const running = Volumectl.onTerminal(['export', 'list', '--watch'], env);
    await running.until(
      /\u001b\[H\u001b\[J[\s\S]*1 GiB of 4 GiB \(25 %\)[\s\S]*100 MiB\/s written[\s\S]*31\.0 s[\s\S]*\u001b\[H\u001b\[J/,
    );
    running.child.stdin?.write('\u0003');
    await running.ended;
  });

  it('a reader that goes away ends it quietly', async () => {
    for (let index = 0; index < 2000; index += 1) daemon.journal('', 'noise', 'note');
    const running = Volumectl.start(['events', '--after', '0'], env);
    await running.until(/\n/);
    running.child.stdout?.destroy();
    daemon.journal('', 'one', 'note');
    const { code, error } = await running.ended;
    expect([code, error]).toEqual([0, '']);
  });
});
