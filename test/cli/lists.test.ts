import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DaemonError } from '~/server/core/errors';
import { unknown } from '~/server/model/evidence';
import {
  APPLIANCE,
  cloudVolume,
  exportRecord,
  NOBODY,
  NOW,
  REMOTE_VOLUME,
  VOLUME,
} from '~/test/support/canned';
import { listed } from '~/test/support/fake-daemon';
import { volumectl } from './process';
import { ctl, daemon, env } from './volumectl-in-memory';

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

describe('export validate', () => {
  it('3: an export that does not answer has no size', async () => {
    daemon.records.push({ ...exportRecord(REMOTE_VOLUME), status: 'failed' });
    const { code, out } = await ctl('export', 'validate', '--no-headers');
    const sizes = out
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/).slice(1, 3));
    expect([code, sizes]).toEqual([
      3,
      [
        ['yes', '5 GiB'],
        ['no', '-'],
      ],
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
      response.writeHead(answer.status, {
        'content-type': answer.headers.get('content-type') ?? '',
        'x-request-id': answer.headers.get('x-request-id') ?? '',
      });
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
