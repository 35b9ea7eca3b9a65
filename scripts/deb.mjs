// Packs .output as a Debian package with dpkg-deb. Plain JavaScript, like the set-up, without npm packages.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from './setup.mjs';

const LIB = 'usr/lib/volume-daemon';
const SHARE = 'usr/share/volume-daemon';
const DOC = 'usr/share/doc/volume-daemon';
const CONFFILES = [
  '/etc/default/volume-daemon',
  '/etc/volume-daemon/nbd-server.conf',
  '/etc/multipath/conf.d/volume-daemon.conf',
];
/** As `engines` of package.json. */
const PACKAGED_BY_OTHERS = 'nodejs (>= 20.19), nodejs (<< 21) | nodejs (>= 22.12)';
const OWN_NODE = `/${LIB}/bin/node`;
/** Below LIB. npm packages have the executable bit on files that are no programs. */
const EXECUTABLES = ['bin/node', 'close-links', 'is-own-disk'];

/**
 * Writes volume-daemon_<version>_<architecture>.deb into `out` and returns its path. A package with Node
 * (`node` is its program) runs on one architecture and depends on the C++ library; one without runs on all
 * and depends on a packaged Node.
 */
export function packDeb({ out, node = null, compression = 'xz', epoch = sourceDate() }) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const architecture = node ? debianArchitecture() : 'all';
  const tree = mkdtempSync(join(tmpdir(), 'volume-deb-'));
  try {
    putProgram(tree, node ? OWN_NODE : '/usr/bin/node');
    if (node) putNode(tree, node);
    putConfiguration(tree);
    putDocuments(tree, version, epoch);
    putControl(tree, { version, architecture, withNode: node !== null });
    settle(tree, epoch);
    const path = join(out, `volume-daemon_${version}_${architecture}.deb`);
    const args = ['--root-owner-group', `-Z${compression}`, ...(compression === 'gzip' ? ['-z1'] : [])];
    // One thread: the result must not depend on the number of processors.
    run('dpkg-deb', [...args, '--threads-max=1', '--build', tree, path], {
      SOURCE_DATE_EPOCH: String(epoch),
    });
    return path;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function putProgram(tree, node) {
  const output = join(root, '.output');
  // nitro.json contains the time of the build, and nothing reads it.
  const filter = (path) => relative(output, path) !== 'nitro.json' && relative(output, path) !== '.sources';
  cpSync(output, join(tree, LIB), { recursive: true, filter });
  // All units, also that of the export server that is not enabled by default (docs/reference/exports.md).
  for (const name of readdirSync(join(root, 'packaging/systemd'))) {
    const text = readFileSync(join(root, 'packaging/systemd', name), 'utf8');
    put(tree, `lib/systemd/system/${name}`, text.replace('ExecStart=/usr/bin/node ', `ExecStart=${node} `));
  }
  copy('packaging/udev/59-volume-daemon.rules', tree, 'lib/udev/rules.d/59-volume-daemon.rules');
  for (const helper of ['close-links', 'is-own-disk'])
    copy(`packaging/udev/${helper}`, tree, `${LIB}/${helper}`, 0o755);
  // For whoever runs Prometheus and Grafana, here or elsewhere (docs/guides/monitoring.md).
  copy('packaging/prometheus/volume-daemon.rules.yml', tree, `${SHARE}/prometheus/volume-daemon.rules.yml`);
  copy('packaging/grafana/volume-daemon.json', tree, `${SHARE}/grafana/volume-daemon.json`);
  const cli = join(output, 'cli');
  // No program of its own here: /usr/bin/volumectl runs it with the Node of this package.
  const program = readFileSync(join(cli, 'volumectl.mjs'), 'utf8').replace(/^#!.*\n/, '');
  put(tree, `${LIB}/cli/volumectl.mjs`, program);
  put(tree, 'usr/bin/volumectl', `#!/bin/sh\nexec ${node} /${LIB}/cli/volumectl.mjs "$@"\n`, 0o755);
  for (const [from, to] of [
    ['volumectl.bash', 'usr/share/bash-completion/completions/volumectl'],
    ['volumectl.zsh', 'usr/share/zsh/vendor-completions/_volumectl'],
    ['volumectl.fish', 'usr/share/fish/vendor_completions.d/volumectl.fish'],
  ])
    put(tree, to, readFileSync(join(cli, from)));
  put(tree, 'usr/share/man/man1/volumectl.1.gz', gzip(readFileSync(join(cli, 'volumectl.1'))));
}

function putNode(tree, node) {
  const program = realpathSync(node);
  put(tree, OWN_NODE, readFileSync(program), 0o755);
  const prefix = dirname(dirname(program));
  const licence = [join(prefix, 'LICENSE'), join(prefix, 'share/doc/nodejs/LICENSE')].find(existsSync);
  if (!licence) throw new Error(`the licence of ${program} was not found beside it: Node cannot be packed`);
  put(tree, `${DOC}/LICENSE.node`, readFileSync(licence));
}

function putConfiguration(tree) {
  // Readable for root only: the DSN holds a password.
  copy('packaging/deb/volume-daemon.default', tree, 'etc/default/volume-daemon', 0o600);
  copy('packaging/deb/nbd-server.conf', tree, 'etc/volume-daemon/nbd-server.conf');
  copy('packaging/udev/multipath.conf', tree, 'etc/multipath/conf.d/volume-daemon.conf');
}

function putDocuments(tree, version, epoch) {
  copy('packaging/deb/copyright', tree, `${DOC}/copyright`);
  copy('packaging/deb/lintian-overrides', tree, 'usr/share/lintian/overrides/volume-daemon');
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  const entry = `volume-daemon (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- The volume-daemon authors <volume-daemon@example.org>  ${date}\n`;
  put(tree, `${DOC}/changelog.gz`, gzip(Buffer.from(entry)));
  copy('CHANGELOG.md', tree, `${DOC}/CHANGELOG.md`);
  for (const name of readdirSync(join(root, 'docs'), { recursive: true }).filter((one) =>
    one.endsWith('.md'),
  ))
    copy(`docs/${name}`, tree, `${DOC}/${name}`);
}

function putControl(tree, { version, architecture, withNode }) {
  for (const name of ['postinst', 'prerm', 'postrm'])
    copy(`packaging/deb/${name}`, tree, `DEBIAN/${name}`, 0o755);
  put(tree, 'DEBIAN/conffiles', `${CONFFILES.join('\n')}\n`);
  const files = readdirSync(tree, { recursive: true }).sort();
  const installed = files.filter((path) => !path.startsWith('DEBIAN') && !isFolder(join(tree, path)));
  const sums = installed.map((path) => `${md5(readFileSync(join(tree, path)))}  ${path}`);
  put(tree, 'DEBIAN/md5sums', `${sums.join('\n')}\n`);
  const sizeKiB = installed.reduce(
    (sum, path) => sum + Math.ceil(lstatSync(join(tree, path)).size / 1024),
    0,
  );
  const control = readFileSync(join(root, 'packaging/deb/control'), 'utf8')
    .replace('@VERSION@', version)
    .replace('@ARCHITECTURE@', architecture)
    .replace('@INSTALLED_SIZE@', String(sizeKiB))
    .replace('@NODE@', withNode ? 'libc6 (>= 2.28), libstdc++6 (>= 9)' : PACKAGED_BY_OTHERS);
  put(tree, 'DEBIAN/control', control);
}

/** The time of the last commit, unless SOURCE_DATE_EPOCH says otherwise. Seconds. */
function sourceDate() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given) return Number(given);
  const git = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' });
  const seconds = Number(git.stdout);
  return git.status === 0 && seconds > 0 ? seconds : 1767225600; // an archive without history: 2026-01-01
}

function debianArchitecture() {
  const name = { x64: 'amd64', arm64: 'arm64' }[process.arch];
  if (!name) throw new Error(`no Debian architecture is known for ${process.arch}`);
  return name;
}

/** Writes a file below the tree, and creates its folders. */
function put(tree, path, content, mode = 0o644) {
  const full = join(tree, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  chmodSync(full, mode);
}

/** The same for a file of the repository. */
function copy(from, tree, path, mode = 0o644) {
  put(tree, path, readFileSync(join(root, from)), mode);
}

/** Without name and time, as reproducible packages require. */
function gzip(content) {
  return gzipSync(content, { level: 9 });
}

function md5(content) {
  return createHash('md5').update(content).digest('hex');
}

function isFolder(path) {
  return lstatSync(path).isDirectory();
}

/** Sets permissions and times that do not depend on who builds, where and when. */
function settle(path, epoch) {
  const info = lstatSync(path);
  if (info.isDirectory()) {
    chmodSync(path, 0o755);
    for (const name of readdirSync(path)) settle(join(path, name), epoch);
  } else if (info.isFile() && path.includes(`/${LIB}/`)) {
    chmodSync(path, EXECUTABLES.some((name) => path.endsWith(`/${LIB}/${name}`)) ? 0o755 : 0o644);
  }
  lutimesSync(path, epoch, epoch);
}

function run(command, args, env) {
  const result = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} failed:\n${result.stdout}${result.stderr}`);
}
