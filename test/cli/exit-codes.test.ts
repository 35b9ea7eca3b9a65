import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { freePort } from '~/lab/ports';
import type { SyncReport } from '~/server/sync/drift';
import { NOBODY, OTHER_VM, syncReport, VOLUME } from '~/test/support/canned';
import { Volumectl, volumectl } from './process';
import { ctl, daemon, env } from './volumectl-in-memory';

/**
 * Every exit code of the built volumectl, and what it says with it; the daemon is one in memory
 * behind our real routes.
 */
const dir = mkdtempSync(join(tmpdir(), 'volumectl-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Another program where the daemon should be. */
async function impostor(listener: RequestListener, work: (url: string) => Promise<void>): Promise<void> {
  const server: Server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe('exit codes', () => {
  it('1: what it prints has no place, and it says so', async () => {
    for (const args of [
      ['volume', 'list', '--json'],
      ['--help'],
      ['events', '--after', '0', '--limit', '1'],
    ]) {
      await daemon.operations.request('attach', { volume_id: VOLUME, vm_id: OTHER_VM });
      const ended = await Volumectl.ontoFullDisk(args, env).ended;
      expect(ended, args.join(' ')).toMatchObject({ code: 1, out: '' });
      expect(ended.error).toMatch(/^volumectl: the output cannot be written: ENOSPC/m);
    }
  });

  it('0: the answer is on the standard output, and nothing on the other', async () => {
    const { code, out, error } = await ctl('volume', 'show', VOLUME);
    expect([code, error]).toEqual([0, '']);
    expect(out).toMatch(/^volume_id +6f1d2c3b-/m);
    expect(out).toMatch(/^size +5 GiB$/m);
  });

  it.each([
    [['volum', 'list'], 'Did you mean volume?'],
    [['volume', 'crate'], 'Did you mean create?'],
    [['volume'], 'Say what to do: volumectl volume list|show|'],
    [['volume', 'show'], 'the volume is missing'],
    [['volume', 'show', ''], 'the volume is missing'],
    [['volume', 'show', VOLUME, 'more'], 'too much is given: more'],
    [['volume', 'list', '--vmm', 'x'], 'there is no option --vmm; did you mean --vm?'],
    [['volume', 'create', '--name', 'x'], '--size is missing'],
    [['volume', 'attach', VOLUME, '--vm'], '--vm needs a value'],
    [['volume', 'attach', VOLUME, '--vm', 'a', '--vm=b'], '--vm is given twice: a and b'],
    [['volume', 'list', '--filter', 'size>1Gi', '--filter', 'state=Ready'], '--filter is given twice'],
    [['volume', 'list', '--json=yes'], '--json takes no value'],
    [['operation', 'list', '--status', 'done'], 'It is one of pending, executing, completed'],
    [['operation', 'list', '--limit', 'x'], '--limit x is not a number'],
    [['health', '--columns', 'colour'], 'The columns are status, phase'],
    [['health', '--json', '--columns', 'status'], 'contradict each other'],
    [['health', '-o', 'xml'], 'It is one of table, wide, name, json, yaml.'],
    [['health', '--sort', 'status'], 'there is no option --sort'],
    [['volume', 'list', '--sort', 'colour'], 'The columns are volume_id'],
    [['volume', 'list', '--filter', 'size>big'], 'Write it like 10Gi'],
    [['operation', 'list', '--since', 'soon'], 'Write it like 1h or 7d'],
    [['volume', 'list', '--appliance', 'east'], 'there is no appliance east'],
    [['device', 'own', 'add', 'x', '--appliance', 'east'], 'not about --appliance'],
    [['token', 'revoke', 'x', '--url', 'http://east'], 'not about --url'],
    [['setup', '--socket', '/run/east.sock'], 'not about --socket'],
    [['setup', '--database-admin-file', '/nonexistent/dsn'], '--database-admin-file cannot be read'],
    [['setup', '--database-admin', 'a:b@tcp(c)/d', '--database-admin-file', '/e'], 'contradict each other'],
    [['health', '--timeout', 'soon'], 'Write it like 30s'],
    [['health', '--url', 'ftp://x'], 'Write it like http://127.0.0.1:8090'],
    [['task', 'run', 'sync:slow'], 'The only one is sync:force.'],
    [['--nope'], 'there is no option --nope'],
    [['help', 'nope'], 'there is no command nope'],
  ])('2: %j is wrong, and says what to type', async (args, says) => {
    const { code, out, error } = await ctl(...args);
    expect([code, out]).toEqual([2, '']);
    expect(error).toMatch(/^volumectl: /);
    expect(error).toContain(says);
    expect(error).toContain('--help');
  });

  it('2: what only the daemon can judge is told under the name of the command line', async () => {
    const { code, error } = await ctl(
      ...['volume', 'create', '--name', 'disk', '--size', '1G', '--offering', 'custom', '--zone', 'z1'],
    );
    expect(code).toBe(2);
    expect(error).toContain('--offering must be the UUID of a disk offering');
    expect(error).toContain('--zone must be the UUID of a zone');
    expect((await ctl('vm', 'volumes', 'oma')).error).toContain('<vm> must be the UUID of a VM');
  });

  it('2: a wrong column is found before anything is asked of the daemon', async () => {
    const { code } = await ctl('volume', 'attach', VOLUME, '--vm', OTHER_VM, '--columns', 'colour');
    expect(code).toBe(2);
    expect(daemon.requests).toEqual([]);
  });

  it('3: the daemon refuses, with its words, its code and its fix', async () => {
    const { code, out, error } = await ctl('volume', 'show', NOBODY);
    expect([code, out]).toEqual([3, '']);
    expect(error).toContain('not found in CloudStack (VOLUME_NOT_FOUND)');
    expect(error).toContain('fix: CloudStack says that this id names nothing');
  });

  it('3: a check that finds something wrong', async () => {
    const { code, out } = await ctl('check', 'cloudstack');
    expect(code).toBe(3);
    expect(out).toMatch(/^problems +the role of the key does not allow createVolume/m);
    expect(out).toMatch(/^createVolume +no +create$/m);
    expect(out).toMatch(/^attachVolume +not known/m);
    expect((await ctl('check', 'all')).code).toBe(3);
    expect((await ctl('check', 'database')).code).toBe(0);
  });

  it('3: a health that is not healthy; degraded is let through when asked', async () => {
    expect((await ctl('health')).code).toBe(0);
    daemon.phase = 'standby';
    expect([(await ctl('health')).code, (await ctl('health', '--allow-degraded')).code]).toEqual([3, 0]);
  });

  it('3: a health with a held operation names it, why, and what a person can do', async () => {
    const held = [
      { id: NOBODY, type: 'attach', volumeId: VOLUME, reason: 'its journal is of another version' },
    ] as const;
    const report = daemon.reports.health();
    daemon.reports.health = () => ({ ...report, status: 'degraded', held });
    const { code, out } = await ctl('health');
    expect(code).toBe(3);
    expect(out).toMatch(new RegExp(`^${NOBODY} +attach +${VOLUME} +its journal is of another version$`, 'm'));
    expect(out).toContain('volumectl operation retry');
  });

  it('0: a mistyped setting is named, and changes nothing else', async () => {
    const note = 'NBD_BACKND is not a setting, and is not read; did you mean NBD_BACKEND?';
    const report = daemon.reports.health();
    daemon.reports.health = () => ({ ...report, settingsNotes: [note] });
    const { code, out } = await ctl('health');
    expect(code).toBe(0);
    expect(out).toContain(`Settings without effect\nNOTE\n${note}`);
  });

  it('0: what systemd ignores of the file of the settings is named, for the daemon cannot know', async () => {
    const file = join(dir, 'defaults');
    writeFileSync(file, 'export DATABASE_DSN=oma:secret@tcp(db)/oma\nLOG_LEVEL=debug\n');
    const { code, out } = await volumectl(['health'], { ...env, VOLUMECTL_DEFAULTS: file });
    expect(code).toBe(0);
    expect(out).toContain(`NOTE\nDATABASE_DSN in ${file} has no effect, because of the "export" before it`);
    expect(out).not.toContain('secret');
  });

  it('6: a sync that could not look; what it shows is what was known before', async () => {
    const report = { ...syncReport(true, 'x'), judged: false, unavailable: ['cloudstack: away'] };
    daemon.sync.run = async () => report;
    const { code, out, error } = await ctl('sync', '--dry-run');
    expect(code).toBe(6);
    expect(out).toContain('letter-moved');
    expect(error).toContain('not judged: cloudstack: away');
    expect((await ctl('sync', '--json')).code).toBe(6);
  });

  it('6: a sync that could not judge all of it, unless a repair has failed', async () => {
    const whole = syncReport(false, 'x');
    const old = whole.drifts.map((drift) => ({ ...drift, action: 'reported' as const, notJudgedSince: 0 }));
    const failed = whole.drifts.map((drift) => ({ ...drift, action: 'failed' as const }));
    const cases: [number, SyncReport][] = [
      [0, whole],
      [6, { ...whole, drifts: old }],
      [6, { ...whole, unavailable: ['volume x could not be looked at again'] }],
      [3, { ...whole, drifts: [...old, ...failed] }],
    ];
    for (const [expected, report] of cases) {
      daemon.sync.run = async () => report;
      expect((await ctl('sync')).code).toBe(expected);
    }
  });

  it('6: a volume of which something is not known; 0 when all is', async () => {
    const { code, out, error } = await ctl('volume', 'explain', NOBODY);
    expect(code).toBe(6);
    expect(out).toMatch(
      /^CloudStack: unknown since 2025-08-19 20:29:00Z\n {2}CloudStack does not show it to this key$/m,
    );
    expect(out).toMatch(/^ {2}to find out: volumectl check cloudstack;/m);
    expect(out).toMatch(/^Database: absent\n {2}there is no row of this volume$/m);
    expect(error).toContain('Not known: CloudStack.');
    const known = await ctl('volume', 'explain', VOLUME);
    expect([known.code, known.error]).toEqual([0, '']);
    expect(known.out).toMatch(/Ready: it is ready/);
    for (const line of `${out}${known.out}`.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(JSON.parse((await ctl('volume', 'explain', VOLUME, '--json')).out)).toMatchObject({
      guest: { kind: 'seen', value: { device_path: '/dev/vdb' } },
    });
  });

  it('0: a recover is accepted like every operation', async () => {
    expect((await ctl('volume', 'recover', VOLUME)).code).toBe(0);
    expect(daemon.requests).toEqual([
      { type: 'recover', request: { volume_id: VOLUME }, idempotencyKey: expect.any(String) },
    ]);
  });

  it('0: resize, snapshot and, with --yes, revert and delete of a snapshot are accepted; without it nothing is', async () => {
    const snapshot = '9d0f3a5e-1c2b-4d3e-8f4a-5b6c7d8e9f01';
    expect((await ctl('volume', 'resize', VOLUME, '--size', '6GiB')).code).toBe(0);
    expect((await ctl('snapshot', 'create', VOLUME, '--name', 'before')).code).toBe(0);
    expect((await ctl('volume', 'revert', VOLUME, '--to', snapshot)).code).toBe(2);
    expect((await ctl('snapshot', 'delete', snapshot)).code).toBe(2);
    expect((await ctl('volume', 'revert', VOLUME, '--to', snapshot, '--yes')).code).toBe(0);
    expect((await ctl('snapshot', 'delete', snapshot, '--yes')).code).toBe(0);
    expect(daemon.requests.map(({ type, request }) => [type, request])).toEqual([
      ['resize', { volume_id: VOLUME, size: 6 * 1024 ** 3 }],
      ['snapshot', { volume_id: VOLUME, name: 'before' }],
      ['revert', { volume_id: VOLUME, snapshot_id: snapshot }],
      ['delete-snapshot', { snapshot_id: snapshot }],
    ]);
    expect((await ctl('snapshot', 'list', VOLUME)).out).toContain(`${snapshot}  before-failover-7b0c`);
  });

  it('4: no answer within --timeout', async () => {
    await impostor(
      () => undefined,
      async (url) => {
        const { code, error } = await volumectl(['health', '--timeout', '200ms', '--url', url]);
        expect(code).toBe(4);
        expect(error).toContain('no answer from http://127.0.0.1:');
      },
    );
  });

  it('4: an operation that takes longer than --timeout goes on, and says how to follow it', async () => {
    const { code, error } = await ctl('volume', 'detach', VOLUME, '--wait', '--timeout', '3s');
    const [operation] = daemon.stored;
    expect(code).toBe(4);
    expect(error).toContain('has not ended within 3.0 s');
    expect(error).toContain(`volumectl operation watch ${operation?.id}`);
  });

  it('4 and 5: a lost answer is not taken for a refusal: the key under which it may be asked for again is told', async () => {
    const create = ['volume', 'create', '--name', 'a', '--size', '1Gi', '--offering', 'o', '--zone', 'z'];
    const keys: unknown[] = [];
    const again = async (listener: RequestListener, args: readonly string[] = []) => {
      let said = '';
      await impostor(
        (request, response) => {
          keys.push(request.headers['idempotency-key']);
          listener(request, response);
        },
        async (url) => {
          const { code, error } = await volumectl([...create, ...args, '--url', url]);
          expect(code).toBe(args.length > 0 ? 4 : 5);
          said = error;
        },
      );
      return /with --key (\S+)$/m.exec(said)?.[1];
    };
    const cut = await again((request) => request.socket.destroy());
    const late = await again(() => undefined, ['--timeout', '300ms']);
    const proxied = await again((_, response) => response.writeHead(504).end(), []);
    expect([cut, late, proxied]).toEqual(keys);
    expect(new Set(keys).size).toBe(3);
    const nobody = await volumectl([...create, '--url', `http://127.0.0.1:${await freePort()}`]);
    expect(nobody.error).not.toContain('accepted');
  });

  it('5: nobody listens, on a port or a socket', async () => {
    const nobody = await volumectl(['health', '--url', `http://127.0.0.1:${await freePort()}`]);
    expect(nobody.code).toBe(5);
    expect(nobody.error).toContain('ECONNREFUSED');
    expect(nobody.error).toContain('systemctl status volume-daemon');
    expect((await volumectl(['health', '--socket', join(dir, 'none')])).code).toBe(5);
    expect((await volumectl(['events', '--url', `http://127.0.0.1:${await freePort()}`])).code).toBe(5);
  });

  it('5: nothing is planned for another machine with what this one has', async () => {
    const port = await freePort();
    const { code, out } = await volumectl([
      'adopt',
      '--plan',
      '--url',
      `http://127.0.0.1.nip.invalid:${port}`,
    ]);
    expect([code, out]).toEqual([5, '']);
  });

  it('5: somebody else listens', async () => {
    await impostor(
      (_, response) => response.end('<html>hello</html>'),
      async (url) => {
        const { code, error } = await volumectl(['health', '--url', url]);
        expect(code).toBe(5);
        expect(error).toContain('not as a volume daemon');
      },
    );
  });

  it('5: the daemon stands by', async () => {
    daemon.phase = 'standby';
    const { code, error } = await ctl('volume', 'detach', VOLUME);
    expect(code).toBe(5);
    expect(error).toContain('(STANDBY)');
  });
});
