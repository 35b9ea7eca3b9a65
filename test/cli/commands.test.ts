import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { setGuardSettings } from '~/server/http/request/guard-settings';
import { APPLIANCE, cloudVolume, NOBODY, OTHER_VM, REMOTE_VOLUME, VOLUME } from '~/test/support/canned';
import { listed } from '~/test/support/fake-daemon';
import { tokenAccess } from '~/test/support/token-access';
import { volumectl } from './process';
import { app, ctl, daemon, env } from './volumectl-in-memory';

const dir = mkdtempSync(join(tmpdir(), 'volumectl-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

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
    expect(missing).toMatchObject({ code: 5, error: expect.stringContaining('token file cannot be used') });
    expect(missing.error).not.toContain('Is the daemon running');
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
