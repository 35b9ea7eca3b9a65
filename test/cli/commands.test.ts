import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { DaemonError } from '~/server/core/errors';
import { setGuardSettings } from '~/server/http/request/guard-settings';
import { seen, unknown } from '~/server/model/evidence';
import {
  APPLIANCE,
  cloudVolume,
  deviceEvent,
  NOBODY,
  NOW,
  OTHER_VM,
  REMOTE_VOLUME,
  VOLUME,
} from '~/test/support/canned';
import { FakeDaemon, listed } from '~/test/support/fake-daemon';
import { HttpApp } from '~/test/support/http-app';
import { tokenAccess } from '~/test/support/token-access';
import { Volumectl, volumectl } from './process';

vi.mock('nitropack/runtime', async () => (await import('~/test/support/nitro-runtime')).nitroRuntime);

/** The built volumectl as a process against our real routes with a daemon in memory, which does only what the test tells it to. */
const dir = mkdtempSync(join(tmpdir(), 'volumectl-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let daemon: FakeDaemon;
let app: HttpApp;
let env: { VOLUMECTL_URL: string };
beforeEach(async () => {
  daemon = new FakeDaemon();
  app = await HttpApp.start(daemon);
  env = { VOLUMECTL_URL: `http://127.0.0.1:${app.port}` };
});
afterEach(() => app.close());

const ctl = (...args: string[]) => volumectl(args, env);

describe('--wait', () => {
  it('names each step as it happens, and ends with the operation', async () => {
    const running = Volumectl.start(['volume', 'detach', VOLUME, '--wait'], env);
    await running.until(/detach 6f1d2c3b-[\w-]+: pending/, 'error');
    const id = daemon.stored[0]?.id ?? '';
    daemon.journal(id, 'detach-volume', 'intent');
    await running.until(/: detach-volume: CloudStack is asked/, 'error');
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
    await running.until(/: detach-volume: CloudStack is asked/, 'error');
    const { port } = app;
    // A daemon that stops ends its streams as if there were nothing more to come.
    daemon.stop();
    await app.close();
    await running.until(/the daemon does not answer/, 'error');
    const next = new FakeDaemon();
    next.stored.push(...daemon.stored);
    next.entries.push(...daemon.entries);
    daemon = next;
    app = await HttpApp.start(daemon, port);
    await running.until(/does not answer[\s\S]*: detach-volume: CloudStack is asked/, 'error');
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

describe('what is sent', () => {
  it('attach without --vm is for this appliance, and carries the key', async () => {
    expect((await ctl('volume', 'attach', VOLUME, '--key', 'k-1')).code).toBe(0);
    expect(await ctl('volume', 'attach', VOLUME, '--key', 'schlüssel')).toMatchObject({
      code: 2,
      error: expect.stringContaining('--key must be printable ASCII characters'),
    });
    expect(daemon.requests).toMatchObject([
      { type: 'attach', request: { volume_id: VOLUME, vm_id: APPLIANCE }, idempotencyKey: 'k-1' },
    ]);
  });

  it('sizes in words, metadata as pairs; detach without --force sends no body', async () => {
    const args = ['--name', 'd', '--size', '1.5GiB', '--offering', NOBODY, '--zone', NOBODY];
    await ctl('volume', 'create', ...args, '--metadata', 'a=1,b=x=y');
    await ctl('volume', 'detach', VOLUME);
    await ctl('volume', 'detach', VOLUME, '--force');
    expect(daemon.requests.map(({ request }) => request)).toMatchObject([
      { name: 'd', size: 1.5 * 1024 ** 3, metadata: { a: '1', b: 'x=y' } },
      { volume_id: VOLUME },
      { volume_id: VOLUME, force: true },
    ]);
    expect(daemon.requests[1]?.request).not.toHaveProperty('force');
  });

  it('a delete is asked for: refused without a terminal, done with --yes', async () => {
    const refused = await ctl('volume', 'delete', VOLUME);
    expect([refused.code, daemon.requests]).toEqual([2, []]);
    expect(refused.error).toContain('Repeat with --yes.');
    expect((await ctl('volume', 'delete', VOLUME, '--yes')).code).toBe(0);
    expect(daemon.requests).toMatchObject([{ type: 'delete' }]);
  });

  it('options before the command count too', async () => {
    const { out } = await ctl('--json', '--url', env.VOLUMECTL_URL, 'sync', '--dry-run');
    expect(JSON.parse(out)).toMatchObject({ report: { dry_run: true } });
  });

  it('--dry-run sends nothing that changes something, and shows what is known of the volume', async () => {
    const { id } = await daemon.operations.request('detach', { volume_id: VOLUME });
    const published = structuredClone(daemon.records);
    for (const args of [
      ['volume', 'create', '--name', 'd', '--size', '1Gi', '--offering', NOBODY, '--zone', NOBODY],
      ['volume', 'attach', VOLUME],
      ['volume', 'attach-root', VOLUME, '--vm', NOBODY],
      ['volume', 'detach', VOLUME, '--force'],
      ['volume', 'delete', VOLUME],
      ['volume', 'recover', VOLUME],
      ['volume', 'resize', VOLUME, '--size', '9Gi'],
      ['volume', 'revert', VOLUME, '--to', NOBODY],
      ['volume', 'return', VOLUME, '--from', NOBODY, '--delete-vm'],
      ['snapshot', 'create', VOLUME],
      ['snapshot', 'group', '--vm', APPLIANCE, '--volumes', VOLUME],
      ['snapshot', 'delete', NOBODY],
      ['operation', 'cancel', id],
      ['operation', 'retry', id],
      ['operation', 'abandon', id],
      ['export', 'publish', VOLUME],
      ['export', 'withdraw', VOLUME],
    ]) {
      const { code, out, error } = await ctl(...args, '--dry-run');
      expect([code, error], args.join(' ')).toEqual([0, '']);
      expect(out, args.join(' ')).toContain('Nothing is done.');
    }
    expect(daemon.requests).toHaveLength(1);
    expect(daemon.stored).toMatchObject([{ status: 'pending', cancelRequested: false }]);
    expect(daemon.records).toEqual(published);
    const detach = await ctl('volume', 'detach', VOLUME, '--force', '--dry-run');
    expect(detach.out).toContain(`POST /api/v1/volumes/${VOLUME}/detach {"force":true}`);
    expect(detach.out).toMatch(/^Guest: seen/m);
    const data = JSON.parse((await ctl('volume', 'delete', VOLUME, '--dry-run', '--json')).out);
    expect(data).toMatchObject({
      dry_run: true,
      request: { method: 'DELETE' },
      volume: { volume_id: VOLUME },
    });
  });

  it('to the appliance that is named, with its token and no other', async () => {
    writeFileSync(join(dir, 'east.token'), 'sesame\n');
    const config = join(dir, 'config.yaml');
    writeFileSync(config, `appliances: { east: { url: "${env.VOLUMECTL_URL}", token-file: east.token } }\n`);
    setGuardSettings({ allowedHosts: [], access: tokenAccess({ tokenFile: join(dir, 'east.token') }) });
    const named = { VOLUMECTL_CONFIG: config };
    expect((await volumectl(['volume', 'list', '--appliance', 'east'], named)).code).toBe(0);
    expect((await volumectl(['appliance', 'list', '-o', 'name'], named)).out).toBe('east\n');
    const elsewhere = await volumectl(['volume', 'list', '--url', env.VOLUMECTL_URL], named);
    expect(elsewhere).toMatchObject({ code: 3, error: expect.stringContaining('UNAUTHORIZED') });
  });

  it('the token of the token file', async () => {
    writeFileSync(join(dir, 'token'), 'sesame\n');
    setGuardSettings({ allowedHosts: [], access: tokenAccess({ tokenFile: join(dir, 'token') }) });
    const refused = await ctl('sync');
    expect(refused).toMatchObject({ code: 3, error: expect.stringContaining('UNAUTHORIZED') });
    expect(refused.error).toContain('--token-file or VOLUMECTL_TOKEN_FILE');
    expect(refused.error).not.toContain('Authorization: Bearer');
    expect((await ctl('volume', 'list', '--token-file', join(dir, 'token'))).code).toBe(0);
    const missing = await ctl('volume', 'list', '--token-file', join(dir, 'no-token'));
    expect(missing).toMatchObject({ code: 5, error: expect.stringContaining('token file cannot be read') });
    writeFileSync(join(dir, 'token'), 'sesame\nopen\n');
    const lines = await ctl('volume', 'list', '--token-file', join(dir, 'token'));
    expect(lines).toMatchObject({ code: 5, error: expect.stringContaining('something else than one token') });
  });

  it('through the unix socket of the daemon', async () => {
    const socket = join(dir, 'daemon.sock');
    const hosts: (string | undefined)[] = [];
    const relay = createServer((from, to) => {
      hosts.push(from.headers.host);
      const { url: path, method, headers } = from;
      from.pipe(
        request({ port: app.port, host: '127.0.0.1', path, method, headers }, (answer) => {
          to.writeHead(answer.statusCode ?? 0, answer.headers);
          answer.pipe(to);
        }),
      );
    }).listen(socket);
    try {
      const { code, error } = await volumectl(['volume', 'attach', VOLUME, '--socket', socket]);
      expect([code, error]).toEqual([0, expect.stringContaining('goes on by itself')]);
      expect((await volumectl(['health'], { VOLUMECTL_SOCKET: socket })).code).toBe(0);
      expect(daemon.requests).toMatchObject([{ type: 'attach', request: { vm_id: APPLIANCE } }]);
      expect(new Set(hosts)).toEqual(new Set(['localhost']));
    } finally {
      relay.close();
    }
  });

  it('where the daemon of this machine listens, when nobody says it', async () => {
    const defaults = join(dir, 'defaults');
    writeFileSync(defaults, `# comment\nDATABASE_DSN="secret"\nHOST=0.0.0.0\nPORT="${app.port}"\n`);
    expect((await volumectl(['health'], { VOLUMECTL_DEFAULTS: defaults })).code).toBe(0);
  });
});

describe('a volume is named by its name or the beginning of its id', () => {
  it('the request carries the whole id, and people are told which volume that is', async () => {
    const { code, error } = await ctl('volume', 'detach', 'my-volume');
    expect(code).toBe(0);
    expect(error.split('\n')[0]).toBe(`my-volume is volume ${VOLUME} (my-volume, 5 GiB, Ready, on VM oma)`);
    await ctl('volume', 'detach', '6F1D2C3B', '--quiet');
    await ctl('volume', 'return', 'other-volume', '--from', OTHER_VM);
    expect(daemon.requests.map(({ type, request }) => [type, request])).toMatchObject([
      ['detach', { volume_id: VOLUME }],
      ['detach', { volume_id: VOLUME }],
      ['cleanup', { volume_id: REMOTE_VOLUME }],
    ]);
  });

  it('in a list of volumes too', async () => {
    const args = ['snapshot', 'group', '--vm', APPLIANCE, '--volumes'];
    expect((await ctl(...args, `my-volume, ${NOBODY}`)).code).toBe(0);
    expect(daemon.requests).toMatchObject([{ request: { volume_ids: [VOLUME, NOBODY] } }]);
    expect(await ctl(...args, 'my-volume,')).toMatchObject({
      code: 2,
      error: expect.stringContaining('--volumes names a volume without a name'),
    });
    expect(daemon.requests).toHaveLength(1);
  });

  it('what may mean two volumes is refused with both, and nothing is asked for', async () => {
    daemon.listed.push(listed(cloudVolume(NOBODY, { name: 'my-volume', vmId: null })));
    const { code, out, error } = await ctl('volume', 'delete', 'my-volume', '--yes');
    expect([code, out]).toEqual([3, '']);
    expect(error).toContain(
      `${VOLUME} (my-volume, Ready, on VM ${APPLIANCE}); ${NOBODY} (my-volume, Ready, detached)`,
    );
    expect(daemon.requests).toEqual([]);
  });

  it('what means none is refused, also by a command that only reads', async () => {
    for (const verb of ['show', 'explain', 'delete'])
      expect(await ctl('volume', verb, 'nobody', ...(verb === 'delete' ? ['--yes'] : []))).toMatchObject({
        code: 3,
        error: expect.stringContaining('(VOLUME_NOT_VISIBLE)'),
      });
    expect(daemon.requests).toEqual([]);
  });

  it('a whole id is not asked about', async () => {
    daemon.listed.length = 0;
    expect((await ctl('volume', 'delete', VOLUME.toUpperCase(), '--yes')).code).toBe(0);
    expect(daemon.requests).toMatchObject([{ type: 'delete', request: { volume_id: VOLUME } }]);
  });
});

describe('volume list', () => {
  it('shows all volumes, all pages of them, with how old that is', async () => {
    for (let n = 0; n < 1_200; n += 1) {
      const id = `f0000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
      daemon.listed.push(listed(cloudVolume(id, { name: `web-${n}`, vmId: null, vmName: null })));
    }
    const { code, out, error } = await ctl('volume', 'list', '--name', 'WEB-', '--attached', 'no');
    expect([code, error]).toEqual([0, 'As CloudStack was 12.0 s ago.\n']);
    expect(out.trim().split('\n')).toHaveLength(1_201);
    const mine = await ctl('volume', 'list', '--vm', APPLIANCE, '--json');
    expect(JSON.parse(mine.out)).toMatchObject([{ volume_id: VOLUME, export: { status: 'active' } }]);
  });

  it('6: says why and since when CloudStack could not be asked, and what it does not show', async () => {
    daemon.freshness = { ...daemon.freshness, unknown: unknown('the key was refused', NOW, 'cloudstack') };
    daemon.listed.splice(1, 1, { id: VOLUME, volume: unknown('not visible', NOW, 'cloudstack') });
    const { code, out, error } = await ctl('volume', 'list');
    expect(code).toBe(6);
    expect(out).toMatch(new RegExp(`^${VOLUME} .* not shown .* /dev/vdb`, 'm'));
    expect(error).toMatch(/^Mapped, but not shown by CloudStack to the key: 1/);
    expect(error).toMatch(/It could not be asked since 2025-08-19 .*: the key was refused/);
  });

  it('5: nothing is listed when nothing is known', async () => {
    daemon.failure = new DaemonError('CLOUDSTACK_UNAVAILABLE', 'CloudStack is away', {
      retryAfterSeconds: 5,
    });
    const { code, out, error } = await ctl('volume', 'list');
    expect(out).toBe('');
    expect(error).toContain('(CLOUDSTACK_UNAVAILABLE)');
    expect(code).not.toBe(0);
  });
});

describe('device list', () => {
  it('names disks on buses on which no volumes come', async () => {
    const [disk] = daemon.guest.devices;
    if (disk === undefined) throw new Error('the canned guest has a disk');
    const others = [{ ...disk, name: 'sda', path: '/dev/sda', bus: 'sata or ide' }];
    daemon.guest = { ...daemon.guest, devices: [], others };
    const { code, out, error } = await ctl('device', 'list');
    expect([code, out]).toEqual([0, '']);
    expect(error).toBe(
      'The guest has no disk on a bus on which volumes come.\nOn buses on which no volumes come: /dev/sda (sata or ide).\n',
    );
    expect(JSON.parse((await ctl('device', 'list', '--json')).out)).toHaveLength(0);
  });

  it('6: says that what it shows is of before the start', async () => {
    daemon.guest = { ...daemon.guest, scanned: false };
    const { code, error } = await ctl('device', 'list');
    expect([code, error]).toEqual([
      6,
      expect.stringContaining('could not be read since the daemon was started'),
    ]);
  });
});

describe('vm volumes', () => {
  it('6: says why when there may be more than are listed', async () => {
    expect(await ctl('vm', 'volumes', NOBODY)).toEqual({
      code: 0,
      out: '',
      error: 'This VM has no volume.\n',
    });
    daemon.incomplete = 'CloudStack has not answered in time';
    const reason = 'There may be more volumes than these: CloudStack has not answered in time\n';
    expect(await ctl('vm', 'volumes', NOBODY)).toEqual({ code: 6, out: '', error: reason });
    const some = await ctl('vm', 'volumes', APPLIANCE, '--json', '--quiet');
    expect(some).toMatchObject({ code: 6, error: reason });
    expect(JSON.parse(some.out)).toMatchObject([{ volume_id: VOLUME }]);
  });
});

describe('what is shown', () => {
  it('--json is what the API answered, for every command that reads', async () => {
    for (const args of [
      ['volume', 'list'],
      ['volume', 'show', VOLUME],
      ['volume', 'device', VOLUME],
      ['device', 'list'],
      ['device', 'show', '/dev/vdb'],
      ['device', 'explain', VOLUME],
      ['operation', 'list'],
      ['export', 'list'],
      ['export', 'show', VOLUME],
      ['export', 'validate'],
      ['vm', 'volumes', APPLIANCE],
      ['health'],
      ['sync', '--dry-run'],
      ['check', 'all'],
      ['check', 'zones'],
      ['check', 'offerings'],
      ['check', 'database'],
    ]) {
      const { out, error } = await ctl(...args, '--json');
      expect(error, args.join(' ')).toBe('');
      expect(JSON.parse(out), args.join(' ')).toBeTruthy();
    }
  });

  it('a daemon of a version before this one, which names less, is read by every command', async () => {
    const added = [
      ...['settings_notes', 'held', 'others', 'rights', 'new_volumes', 'owner', 'clock_skew_source'],
      ...['not_judged_since', 'remedy_by', 'since', 'traffic', 'cancel_requested_by', 'actor', 'request_id'],
      ...['vm_context_id', 'matched_by', 'completed_at', 'wait_reason', 'project_id', 'not_shown'],
    ];
    const { id } = await daemon.operations.request('detach', { volume_id: VOLUME });
    const older = createServer(async ({ method, url }, response) => {
      const answer = await fetch(`${env.VOLUMECTL_URL}${url}`, { method: method ?? 'GET' });
      const isJson = answer.headers.get('content-type')?.includes('json');
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
      if (!isJson) return response.end(await answer.text());
      const without = (name: string, value: unknown) => (added.includes(name) ? undefined : value);
      return response.end(JSON.stringify(await answer.json(), without));
    });
    await new Promise<void>((resolve) => older.listen(0, '127.0.0.1', resolve));
    try {
      const address = older.address();
      if (address === null || typeof address === 'string') throw new Error('it has no port');
      const url = `http://127.0.0.1:${address.port}`;
      const commands = [
        ['health'],
        ['health', '--json'],
        ['sync', '--dry-run'],
        ['device', 'list'],
        ['device', 'show', '/dev/vdb'],
        ['device', 'explain', VOLUME],
        ['volume', 'list', '-o', 'wide'],
        ['volume', 'show', VOLUME],
        ['volume', 'explain', VOLUME],
        ['volume', 'device', VOLUME],
        ['snapshot', 'list', VOLUME],
        ['vm', 'volumes', APPLIANCE],
        ['operation', 'list', '-o', 'wide'],
        ['operation', 'show', id],
        ['operation', 'cancel', id],
        ['export', 'list', '-o', 'wide'],
        ['export', 'show', VOLUME],
        ['export', 'validate'],
        ...['all', 'cloudstack', 'database', 'zones', 'offerings'].map((what) => ['check', what]),
      ];
      const ended = commands.map(async (args) => ({
        args,
        ...(await volumectl(args, { VOLUMECTL_URL: url })),
      }));
      for (const { args, code, out, error } of await Promise.all(ended)) {
        expect(error, args.join(' ')).not.toContain('a mistake in volumectl');
        expect([0, 3, 6], `${args.join(' ')}: ${error}`).toContain(code);
        expect(out, args.join(' ')).not.toMatch(/undefined|NaN/);
      }
    } finally {
      older.closeAllConnections();
      older.close();
    }
  }, 240_000);

  it('-o yaml is the same as JSON, -o name the ids, -o wide every column', async () => {
    const read = async (...args: string[]) => (await ctl('volume', 'list', ...args)).out;
    expect(parse(await read('-o', 'yaml'))).toEqual(JSON.parse(await read('-o', 'json')));
    expect(await read('-o', 'name')).toBe(`${REMOTE_VOLUME}\n${VOLUME}\n`);
    expect((await read('--output', 'wide')).split('\n')[0]).toMatch(/LAST OPERATION +TYPE +VM ID/);
    const { out } = await ctl('health', '-o', 'yaml');
    expect(parse(out)).toMatchObject({ status: 'healthy', details: { phase: 'ready' } });
  });

  it('--filter and --sort decide about the rows, as a table and as data', async () => {
    const remote = await ctl('volume', 'list', '--filter', 'device_path~remote', '-o', 'name');
    expect(remote.out).toBe(`${REMOTE_VOLUME}\n`);
    const sorted = await ctl('volume', 'list', '--sort', 'device_path', '--json');
    expect(JSON.parse(sorted.out).map((row: { volume_id: string }) => row.volume_id)).toEqual([
      VOLUME,
      REMOTE_VOLUME,
    ]);
    const none = await ctl('volume', 'list', '--filter', 'size>900Ti');
    expect(none).toMatchObject({ code: 0, out: '' });
    expect(none.error).toContain('None of 2 is as --filter says.');
  });

  it('--since 1h is an hour ago; what a filter has not seen is said', async () => {
    for (let index = 0; index < 3; index += 1)
      await daemon.operations.request('detach', { volume_id: VOLUME });
    // The operations of the canned daemon are of 2025.
    expect((await ctl('operation', 'list', '--since', '1h', '--json')).out).toBe('[]\n');
    expect(JSON.parse((await ctl('operation', 'list', '--since', '3650d', '--json')).out)).toHaveLength(3);
    const { error } = await ctl('operation', 'list', '--limit', '2', '--filter', 'status=failed');
    expect(error).toContain('Of the newest 2 only; --all looks at all of them.');
  });

  it('health and drifts are readable on 80 columns', async () => {
    const { out } = await volumectl(['health'], { ...env, COLUMNS: '80' });
    expect(out).toMatch(/^COMPONENT/m);
    const sync = await volumectl(['sync', '--dry-run'], { ...env, COLUMNS: '80' });
    expect(sync.out).toMatch(/^drift +letter-moved$/m);
    for (const line of `${out}${sync.out}`.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it('--columns picks and orders, --no-headers leaves the names out', async () => {
    const { out } = await ctl('volume', 'list', '--columns', 'device_path,volume_id', '--no-headers');
    expect(out).toMatch(new RegExp(`^remote-vm-\\S+ +${REMOTE_VOLUME}\\n/dev/vdb +${VOLUME}\\n$`));
    expect((await ctl('volume', 'list', '--columns', 'volume_id')).out.split('\n')[0]).toBe('VOLUME ID');
  });

  it('an empty list is a sentence on the error output, and [] with --json', async () => {
    const { code, out, error } = await ctl('operation', 'list');
    expect([code, out, error]).toEqual([0, '', 'There is no such operation.\n']);
    expect((await ctl('operation', 'list', '--json')).out).toBe('[]\n');
  });

  it('a hostile name cannot speak to the terminal', async () => {
    const [record] = daemon.records;
    if (!record) throw new Error('no record');
    daemon.records[0] = { ...record, exportName: 'evil\u001b[2J\u0007\u202e\nname' };
    const { out } = await ctl('export', 'list', '--columns', 'export_name', '--no-headers');
    expect(out).toBe('evil\\u001b[2J\\u0007\\u202e\\u000aname\n');
  });

  it('an explanation names every disk and its verdict', async () => {
    const { out } = await ctl('device', 'explain', VOLUME);
    expect(out).toMatch(/^answer +found \/dev\/vdb/m);
    expect(out).toMatch(/^\/dev\/vdb .* has the serial of the volume$/m);
  });

  it('--all follows the pages', async () => {
    for (let index = 0; index < 5; index += 1)
      await daemon.operations.request('detach', { volume_id: VOLUME });
    expect(JSON.parse((await ctl('operation', 'list', '--limit', '2', '--json')).out)).toHaveLength(2);
    expect(JSON.parse((await ctl('operation', 'list', '--all', '--limit', '2', '--json')).out)).toHaveLength(
      5,
    );
  });

  it('an operation shows its steps, also while it goes on', async () => {
    const { id } = await daemon.operations.request('detach', { volume_id: VOLUME });
    daemon.journal(id, 'detach-volume', 'finished', { outcome: 'failed', text: 'no such VM' });
    const { out } = await ctl('operation', 'show', id);
    expect(out).toMatch(/detach-volume +finished +detach-volume: CloudStack says failed: no such VM/);
    expect(JSON.parse((await ctl('operation', 'show', id, '--json')).out).journal).toHaveLength(2);
    expect((await ctl('operation', 'cancel', id)).out).toMatch(/^status +cancelled/m);
  });

  it('a cancel of a held operation promises no stop: nobody runs it', async () => {
    const { id } = await daemon.operations.request('detach', { volume_id: VOLUME });
    daemon.move(id, { status: 'executing', held: 'it has ended the daemon twice' });
    const { code, error } = await ctl('operation', 'cancel', id);
    expect(code).toBe(0);
    expect(error).toMatch(/It is held.*volumectl operation abandon/);
    expect(error).not.toContain('before its next call');
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
    app = await HttpApp.start(daemon, port);
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
    app = await HttpApp.start(daemon, port);
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
    app = await HttpApp.start(daemon, port);
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
    app = await HttpApp.start(daemon, port);
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
