import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Walk } from '~/test/integration/daemon/walk';
import { onPath, Volumectl, volumectl } from './process';

/**
 * volumectl against the built daemon with real parts (MariaDB, nbd-server) and a simulated CloudStack, in a
 * pipe and on a terminal.
 */
let walk: Walk;
let env: { VOLUMECTL_URL: string };
let volume: string;
/** Commands that the role of the key lacks; the simulator asks this very list. */
const denied: string[] = [];

beforeAll(async () => {
  walk = await Walk.begin({ cloud: { denied } });
  env = { VOLUMECTL_URL: walk.daemon.url };
});
afterAll(() => walk?.close());

const ctl = (...args: string[]) => volumectl(args, env);
const createArgs = (name: string) => [
  ...['volume', 'create', '--name', name, '--size', '1GiB', '--wait'],
  ...['--offering', walk.lab.cloud.diskOfferingId, '--zone', walk.lab.cloud.zoneId],
];

/** What a terminal shows, without its control sequences. */
function shown(text: string): string {
  return text.replace(/\u001b\[[\d;?]*[a-zA-Z]/g, '').replaceAll('\r\n', '\n');
}

describe('volumectl and the daemon', () => {
  it('create --wait gives the id to a script, and nothing else', async () => {
    const { code, out, error } = await ctl(
      ...createArgs('cli-1'),
      ...['--quiet', '--columns', 'volume_id', '--no-headers'],
    );
    expect([code, error]).toEqual([0, '']);
    volume = out.trim();
    expect(volume).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('attach --wait in a pipe: a line for each step, then the device', async () => {
    const { code, out, error } = await ctl('volume', 'attach', volume, '--wait');
    expect(code).toBe(0);
    expect(error).toMatch(/^attach \S+: attach-volume: CloudStack is to be asked$/m);
    expect(error).toMatch(/^attach \S+: publish: done$/m);
    expect(error).not.toContain('\u001b');
    expect(out).toMatch(new RegExp(`^device_path +${walk.lab.guest.devicePath(volume)}$`, 'm'));
  });

  it('the disk, its volume and its export are found from every side', async () => {
    const path = walk.lab.guest.devicePath(volume) ?? '';
    expect((await ctl('device', 'list')).out).toMatch(new RegExp(`^${path} +1 GiB .* ${volume}$`, 'm'));
    expect((await ctl('device', 'scan')).out).toMatch(/^\S+vda .* the system$/m);
    expect((await ctl('device', 'show', 'vdb')).out).toContain(volume);
    expect((await ctl('volume', 'show', volume)).out).toContain(`migration-vol-${volume} (active)`);
    expect((await ctl('export', 'show', volume)).out).toMatch(/^status +active$/m);
    const explained = await ctl('device', 'explain', volume);
    expect(explained.code).toBe(0);
    expect(explained.out).toMatch(new RegExp(`^answer +found ${path}: serial`, 'm'));
    expect(explained.out).toMatch(/vda .* is the system's own disk$/m);
  });

  it('every check is content, and says what there is', async () => {
    const { code, out, error } = await ctl('check', 'all');
    expect(code, out + error).toBe(0);
    expect(out).toMatch(/^version +4\.20\.0\.0$/m);
    expect(out).toMatch(/^createVolume +yes +create$/m);
    expect(out).toContain(walk.lab.cloud.zoneId);
    expect(out).toContain(walk.lab.cloud.diskOfferingId);
    expect(out).toMatch(/^001-operations +20/m);
    expect(out).toMatch(new RegExp(`^migration-vol-${volume} +yes`, 'm'));
    expect(out).not.toContain(walk.lab.cloud.secretKey);
  });

  it('what is changed outside of operations is an event too, when it happens', async () => {
    const following = Volumectl.start(['events', '--only', 'appliance', '--json', '--limit', '2'], env);
    const change = async (verb: string) => expect((await ctl('export', verb, volume)).code).toBe(0);
    // The stream stands when it tells of the second change at the latest: then it is asked for once more.
    await change('withdraw');
    await change('publish');
    const ended = following.ended.then(() => true);
    while (
      !(await Promise.race([
        ended,
        change('withdraw')
          .then(() => change('publish'))
          .then(() => false),
      ]))
    );
    const { code, out } = await following.ended;
    expect(code).toBe(0);
    expect(out).toMatch(/"step":"export:(withdraw|publish)"/);
  });

  it('setup reads who may make databases from a file: a password on the command line is seen by others', async () => {
    const { dir, database } = walk.lab;
    const [defaults, admin] = [join(dir, 'setup-defaults'), join(dir, 'setup-admin')];
    const socket = database.socketPath;
    await writeFile(defaults, `DATABASE_DSN=fresh:oma_password@unix(${socket})/fresh_db\nNBD_BACKEND=none\n`);
    const planned = async (dsn: string) => {
      await writeFile(admin, `${dsn}\n`);
      return volumectl(['setup', '--dry-run', '--database-admin-file', admin], {
        VOLUMECTL_DEFAULTS: defaults,
      });
    };
    expect((await planned(`root@unix(${socket})/mysql`)).out).toMatch(/^database +planned/m);
    const refused = await planned(`nobody:canary@unix(${socket})/mysql`);
    expect(refused.out).toMatch(/^database +missing/m);
    expect(refused.error).toContain('--database-admin-file');
    expect(refused.out + refused.error).not.toContain('canary');
  });

  it('a volume that is not attached is explained: nothing is expected', async () => {
    const { out: id } = await ctl(...createArgs('cli-2'), '-q', '--columns', 'volume_id', '--no-headers');
    const { code, out } = await ctl('device', 'explain', id.trim());
    expect(code).toBe(0);
    expect(out).toMatch(/^in_cloudstack +\w+, not attached$/m);
    expect(out).toMatch(/^answer +waiting: /m);
  });

  it('3: an operation that fails says why and what to do', async () => {
    const vm = walk.lab.cloud.model.addVm({ name: 'elsewhere', state: 'Stopped' }).id;
    const { code, error } = await ctl('volume', 'attach', volume, '--vm', vm, '--wait');
    expect(code).toBe(3);
    expect(error).toContain('(VOLUME_ATTACHED_ELSEWHERE)');
    expect(error).toContain('fix: The message says where it is. Detach it');
  });

  it('on a terminal: one line that names the step with a clock, colours, and no line left behind', async ({
    skip,
  }) => {
    if (!onPath('script')) skip('script (util-linux) is not on this machine: no terminal to try');
    const { code, out } = await Volumectl.onTerminal(['volume', 'detach', volume, '--wait'], env).ended;
    expect(code).toBe(0);
    const clocks = out.match(/detach [0-9a-f]{8}: [^\r]*\(\d+ ms\)|detach [0-9a-f]{8}: [^\r]*\(\d+\.\d s\)/g);
    expect(clocks?.length).toBeGreaterThan(1);
    expect(out).toContain('\u001b[32mcompleted\u001b[39m');
    const last = shown(out).split('\r').at(-1) ?? '';
    expect(last).toMatch(/^id +[0-9a-f-]{36}\n/);
    expect(last).not.toMatch(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/);
  });

  it('on a terminal without colours: NO_COLOR counts', async ({ skip }) => {
    if (!onPath('script')) skip('script (util-linux) is not on this machine: no terminal to try');
    const { out } = await Volumectl.onTerminal(['health'], { ...env, NO_COLOR: '1' }).ended;
    expect(out).toMatch(/^status +healthy|degraded/m);
    expect(out).not.toContain('\u001b');
  });

  it('on a terminal a delete asks: no keeps the volume, yes deletes it', async ({ skip }) => {
    if (!onPath('script')) skip('script (util-linux) is not on this machine: no terminal to try');
    const answer = async (text: string) => {
      const running = Volumectl.onTerminal(['volume', 'delete', volume, '--wait'], env);
      await running.until(/\[y\/N\]/);
      running.child.stdin?.write(`${text}\n`);
      return running.ended;
    };
    const kept = await answer('n');
    expect([kept.code, shown(kept.out)]).toEqual([3, expect.stringContaining('nothing was done')]);
    expect(walk.lab.cloud.model.effectsOf(volume, 'delete')).toBe(0);
    expect((await answer('y')).code).toBe(0);
    expect(walk.lab.cloud.model.effectsOf(volume, 'delete')).toBe(1);
  });

  it('a daemon that restarts is waited for, and its events are taken up', async () => {
    const { out: id } = await ctl(...createArgs('cli-3'), '-q', '--columns', 'volume_id', '--no-headers');
    const following = Volumectl.start(['events', '--json', '--only', 'operation', '--after', '0'], env);
    await following.until(/\n/);
    const { port } = walk.daemon;
    walk.lab.cloud.model.latencies.attach = { accept: 5, job: 3000 };
    const attaching = Volumectl.start(['volume', 'attach', id.trim(), '--wait'], env);
    await attaching.until(/attach-volume: CloudStack works on it/, 'error');
    await walk.daemon.stop();
    await walk.restartDaemon({ port });
    const { code, out, error } = await attaching.ended;
    expect(code, error).toBe(0);
    const operation = /^id +(\S+)$/m.exec(out)?.[1] ?? '';
    await following.until(new RegExp(`"operation_id":"${operation}".*"state":"completed"`));
    following.child.kill('SIGINT');
    const idsIn = (lines: string): number[] =>
      lines.match(/"id":\d+/g)?.map((id) => Number(id.slice(5))) ?? [];
    const live = idsIn((await following.ended).out);
    const again = ['events', '--json', '--only', 'operation', '--after', '0', '--limit', String(live.length)];
    expect(live, 'every entry of the journal, once and in order').toEqual(idsIn((await ctl(...again)).out));
  });

  it('check cloudstack names the calls that the role of the key does not allow', async () => {
    denied.push('deleteVolume');
    const { code, out } = await ctl('check', 'cloudstack');
    denied.pop();
    expect(code).toBe(3);
    expect(out).toMatch(
      /^problems +the role of the key does not allow deleteVolume \(needed for: delete\)$/m,
    );
    expect(out).toMatch(/^deleteVolume +no +delete$/m);
  });

  it('check cloudstack tells what is wrong with the key, check database that it is away', async () => {
    await walk.lab.database.query("UPDATE migratekit_oma.ossea_configs SET secret_key = 'wrong'");
    await expect
      .poll(async () => (await ctl('check', 'cloudstack')).code, { timeout: 60_000, interval: 500 })
      .toBe(3);
    const { out } = await ctl('check', 'cloudstack');
    expect(out).toMatch(/^problems +CloudStack API error 401/m);
    expect(out).toMatch(/^round_trip +-$/m);
    expect(out).toContain('secret_key');
    expect(out).not.toContain('wrong');
    await walk.lab.database.stop();
    const gone = await ctl('check', 'database');
    expect(gone.code).toBe(3);
    expect(gone.out).toMatch(/^result +not ok$/m);
  });
});
