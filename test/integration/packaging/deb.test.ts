import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findProgram } from '~/lab/packages';
import { freePort } from '~/lab/ports';
import { packDeb } from '~/scripts/deb.mjs';
import { baseProblems } from '~/server/exports/nbd-server/nbd-config';

const EPOCH = 1_750_000_000;
const dir = mkdtempSync(join(tmpdir(), 'volume-deb-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A package and what is in it. */
function unpack(name: string, node: string | null = null) {
  const out = join(dir, name);
  mkdirSync(out);
  const deb = packDeb({ out, compression: 'none', epoch: EPOCH, node });
  const tree = join(out, 'tree');
  run('dpkg-deb', '-R', deb, tree);
  return { deb, tree, read: (path: string) => readFileSync(join(tree, path), 'utf8') };
}

function run(command: string, ...args: string[]): string {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  expect(result.error, command).toBeUndefined();
  expect(result.status, `${command} ${args.join(' ')}: ${result.stdout}${result.stderr}`).toBe(0);
  return result.stdout + result.stderr;
}

const units = (tree: string) =>
  readdirSync(join(tree, 'lib/systemd/system')).map((name) => join(tree, 'lib/systemd/system', name));

describe('the Debian package', () => {
  let plain: ReturnType<typeof unpack>;
  beforeAll(() => {
    plain = unpack('plain');
  });

  it('is the same byte for byte when it is packed again', () => {
    const again = unpack('again');
    expect(readFileSync(again.deb).equals(readFileSync(plain.deb))).toBe(true);
  });

  it('belongs to root, and only the file with the password is private', () => {
    const lines = run('dpkg-deb', '-c', plain.deb).trim().split('\n');
    expect(lines.filter((line) => !/^\S+ root\/root /.test(line))).toEqual([]);
    expect(lines.filter((line) => /^.......(?:.w|w)/.test(line))).toEqual([]);
    const unreadable = lines.filter((line) => !/^.......r/.test(line));
    expect(unreadable.map((line) => line.split(' ').at(-1))).toEqual(['./etc/default/volume-daemon']);
  });

  it('depends on a Node that is new enough, and on the export server', () => {
    const control = plain.read('DEBIAN/control');
    expect(control).toMatch(/^Architecture: all$/m);
    expect(control).toMatch(
      /^Depends: nodejs \(>= 20\.19\), nodejs \(<< 21\) \| nodejs \(>= 22\.12\), nbdkit$/m,
    );
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(control).toContain(`\nVersion: ${version}\n`);
  });

  it('names every configuration file, and the right sum of every file', () => {
    const names = plain.read('DEBIAN/conffiles').trim().split('\n');
    expect(names.filter((name) => !existsSync(join(plain.tree, name)))).toEqual([]);
    const below = run('find', join(plain.tree, 'etc'), '-type', 'f').trim().split('\n');
    expect(below.map((path) => path.slice(plain.tree.length)).sort()).toEqual([...names].sort());
    const wrong = plain
      .read('DEBIAN/md5sums')
      .trim()
      .split('\n')
      .filter((line) => {
        const content = readFileSync(join(plain.tree, line.slice(34)));
        return createHash('md5').update(content).digest('hex') !== line.slice(0, 32);
      });
    expect(wrong).toEqual([]);
  });

  it('has maintainer scripts that a shell can read and dpkg can run', () => {
    for (const name of ['postinst', 'prerm', 'postrm']) {
      const path = join(plain.tree, 'DEBIAN', name);
      expect(statSync(path).mode & 0o777).toBe(0o755);
      run('sh', '-n', path);
    }
  });

  it('has a base configuration for nbd-server that the daemon accepts', () => {
    const text = plain.read('etc/volume-daemon/nbd-server.conf');
    expect(
      baseProblems(text, { port: 10_809, configDir: '/etc/nbd-server/conf.d', host: '0.0.0.0' }),
    ).toEqual([]);
    expect(plain.read('lib/systemd/system/volume-daemon-nbd-server.service')).toContain(
      '-C /etc/volume-daemon/nbd-server.conf ',
    );
  });

  it('starts from where it is unpacked, with the environment file it brings', () => {
    const entry = join(plain.tree, 'usr/lib/volume-daemon/server/index.mjs');
    const lines = plain.read('etc/default/volume-daemon').split('\n');
    const env = Object.fromEntries(
      lines.filter((line) => /^[A-Z]/.test(line)).map((line) => /^(\w+)=(.*)$/.exec(line)?.slice(1) ?? []),
    );
    const result = spawnSync(process.execPath, [entry, '--check-config'], { env, encoding: 'utf8' });
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toMatch(/volume-daemon-nbd\.socket/);
    expect(result.stdout).not.toContain('oma_password');
  });

  it('brings volumectl with manual page and completions', ({ skip }) => {
    if (!existsSync('.output/cli/volumectl.mjs')) skip('volumectl is not part of this build');
    expect(statSync(join(plain.tree, 'usr/bin/volumectl')).mode & 0o777).toBe(0o755);
    expect(
      run(process.execPath, join(plain.tree, 'usr/lib/volume-daemon/cli/volumectl.mjs'), '--help'),
    ).toContain('volumectl');
    for (const path of [
      'usr/share/man/man1/volumectl.1.gz',
      'usr/share/bash-completion/completions/volumectl',
      'usr/share/zsh/vendor-completions/_volumectl',
      'usr/share/fish/vendor_completions.d/volumectl.fish',
    ])
      expect(existsSync(join(plain.tree, path)), path).toBe(true);
  });

  it('has units that systemd accepts', ({ skip }) => {
    if (!findProgram('systemd-analyze')) skip('systemd-analyze is not installed');
    // It warns on standard error and still ends with 0: nothing may be said about our units.
    const said = run('systemd-analyze', 'verify', '--man=no', ...units(plain.tree));
    expect(said.split('\n').filter((line) => line.includes('volume-daemon'))).toEqual([]);
  });

  it('lets V8 use memory protection keys, and answers forbidden system calls instead of killing the daemon', () => {
    const unit = plain.read('lib/systemd/system/volume-daemon.service');
    expect(unit).toMatch(/^SystemCallFilter=@system-service .*@pkey/m);
    expect(unit).toMatch(/^SystemCallErrorNumber=EPERM$/m);
  });

  it('lets the daemon see who has a disk open, and is hardened all the same', ({ skip }) => {
    const unit = plain.read('lib/systemd/system/volume-daemon.service');
    // Without them the kernel hides the descriptors of root processes with capabilities, and of other users.
    expect(unit).toMatch(/^CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH$/m);
    if (!findProgram('systemd-analyze')) skip('systemd-analyze is not installed');
    const said = run(
      'systemd-analyze',
      'security',
      '--offline=true',
      units(plain.tree).find((path) => path.endsWith('/volume-daemon.service')) ?? '',
    );
    expect(Number(/exposure level for \S+: (\d+\.\d+)/.exec(said)?.[1])).toBeLessThanOrEqual(2.5);
  });

  it('starts the program that accepts clients of the exports from where it is, in a sandbox', ({ skip }) => {
    const unit = plain.read('lib/systemd/system/volume-daemon-nbd.service');
    const program = /^ExecStart=.* \/(\S+nbd-holder\.mjs) /m.exec(unit)?.[1] ?? '';
    expect(existsSync(join(plain.tree, program))).toBe(true);
    // A stop may end nobody who is connected, nor may it wait for them.
    expect(unit).toMatch(/^KillMode=process$/m);
    expect(unit).toMatch(/^KillSignal=SIGKILL$/m);
    for (const bound of [/^MemoryMax=/m, /^TasksMax=/m, /^CapabilityBoundingSet=$/m])
      expect(unit).toMatch(bound);
    if (!findProgram('systemd-analyze')) skip('systemd-analyze is not installed');
    const path = units(plain.tree).find((one) => one.endsWith('/volume-daemon-nbd.service')) ?? '';
    const said = run('systemd-analyze', 'security', '--offline=true', path);
    const exposure = Number(/exposure level for \S+: (\d+\.\d+)/.exec(said)?.[1]);
    console.log(`volume-daemon-nbd.service: exposure ${exposure}`);
    expect(exposure).toBeLessThanOrEqual(2.0);
  });

  it('an upgrade starts the socket unit anew only for a port that is not open yet, and only when that cuts nobody', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const open = typeof address === 'object' && address !== null ? address.port : 0;
    const free = await freePort();
    const [script = ''] = /^open_new_ports\(\) \{$[\s\S]*?^\}$/m.exec(plain.read('DEBIAN/postinst')) ?? [];
    expect(script).toContain('deb-systemd-invoke restart volume-daemon-nbd.socket');
    const restarts = (killMode: string, ...ports: number[]) => {
      const listen = ports.map((port) => `127.0.0.1:${port} (Stream)`).join('\n');
      const fakes = `systemctl() { case "$*" in *KillMode*) echo ${killMode};; *) echo '${listen}';; esac; }
        deb-systemd-invoke() { echo "$@" >&2; }`;
      return run('bash', '-ec', `${fakes}\n${script}\nopen_new_ports`).trim().split('\n').join();
    };
    expect(restarts('process', open)).toBe('');
    expect(restarts('process', open, free)).toBe('restart volume-daemon-nbd.socket');
    expect(restarts('control-group', open, free)).toBe('');
    server.close();
  });

  it('removing stops every unit, and leaves no link behind which nobody watches any more', () => {
    const script = plain.read('DEBIAN/prerm');
    for (const path of units(plain.tree)) expect(script).toContain(` ${basename(path)}`);
    for (const folder of ['exports', 'exports-read-only'])
      expect(script).toMatch(new RegExp(`^\\s*rm -rf .*/run/volume-daemon/${folder}(?: |$)`, 'm'));
  });

  it('includes Node and its licence on request, and runs with that Node', () => {
    const { read, tree } = unpack('node', process.execPath);
    const node = join(tree, 'usr/lib/volume-daemon/bin/node');
    expect(run(node, '--version').trim()).toBe(process.version);
    expect(read('usr/share/doc/volume-daemon/LICENSE.node')).toContain('Node.js');
    expect(read('DEBIAN/control')).not.toMatch(/^Depends:.*nodejs/m);
    expect(read('lib/systemd/system/volume-daemon.service')).toMatch(
      /^ExecStart=\/usr\/lib\/volume-daemon\/bin\/node .*\/usr\/lib\/volume-daemon\/server\/index\.mjs$/m,
    );
  });
});
