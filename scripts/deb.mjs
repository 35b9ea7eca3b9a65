// Packs .output as a Debian package with dpkg-deb. Plain JavaScript like the rest of the set-up: it needs no
// installed package.
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
const DOC = 'usr/share/doc/volume-daemon';
const CONFFILES = ['/etc/default/volume-daemon', '/etc/volume-daemon/nbd-server.conf'];
const OWN_NODE = `/${LIB}/bin/node`;

/**
 * Writes volume-daemon_<version>_<architecture>.deb into `out` and returns its path. With Node the package
 * runs on one architecture and depends on the C++ library; without it runs on all and depends on a packaged
 * Node.
 */
export function packDeb({ out, withNode = false, compression = 'xz', epoch = sourceDate() }) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const architecture = withNode ? debianArchitecture() : 'all';
  const tree = mkdtempSync(join(tmpdir(), 'volume-deb-'));
  try {
    putProgram(tree, withNode ? OWN_NODE : '/usr/bin/node');
    if (withNode) putNode(tree);
    putConfiguration(tree);
    putDocuments(tree, version, epoch);
    putControl(tree, { version, architecture, withNode });
    settle(tree, epoch);
    const path = join(out, `volume-daemon_${version}_${architecture}.deb`);
    const args = ['--root-owner-group', `-Z${compression}`, ...(compression === 'gzip' ? ['-z1'] : [])];
    // One thread: the number of processors must not show in the package.
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
  // nitro.json holds the time of the build, and nobody reads it.
  const filter = (path) => relative(output, path) !== 'nitro.json' && relative(output, path) !== '.sources';
  cpSync(output, join(tree, LIB), { recursive: true, filter });
  // The unit of the other export server comes along, for whoever enables it (docs/reference/exports.md).
  for (const name of readdirSync(join(root, 'packaging/systemd'))) {
    const text = readFileSync(join(root, 'packaging/systemd', name), 'utf8');
    put(tree, `lib/systemd/system/${name}`, text.replace('ExecStart=/usr/bin/node ', `ExecStart=${node} `));
  }
  const cli = join(output, 'cli');
  if (!existsSync(join(cli, 'volumectl.mjs'))) return;
  put(tree, 'usr/bin/volumectl', `#!/bin/sh\nexec ${node} /${LIB}/cli/volumectl.mjs "$@"\n`, 0o755);
  for (const [from, to] of [
    ['volumectl.bash', 'usr/share/bash-completion/completions/volumectl'],
    ['volumectl.zsh', 'usr/share/zsh/vendor-completions/_volumectl'],
    ['volumectl.fish', 'usr/share/fish/vendor_completions.d/volumectl.fish'],
  ]) {
    if (existsSync(join(cli, from))) put(tree, to, readFileSync(join(cli, from)));
  }
  const manual = join(cli, 'volumectl.1');
  if (existsSync(manual)) put(tree, 'usr/share/man/man1/volumectl.1.gz', gzip(readFileSync(manual)));
}

function putNode(tree) {
  const program = realpathSync(process.execPath);
  put(tree, OWN_NODE, readFileSync(program), 0o755);
  const prefix = dirname(dirname(program));
  const licence = [join(prefix, 'LICENSE'), join(prefix, 'share/doc/nodejs/LICENSE')].find(existsSync);
  if (!licence) throw new Error(`the licence of ${program} was not found beside it: Node cannot be packed`);
  put(tree, `${DOC}/LICENSE.node`, readFileSync(licence));
}

function putConfiguration(tree) {
  // The DSN holds a password.
  put(
    tree,
    'etc/default/volume-daemon',
    readFileSync(join(root, 'packaging/deb/volume-daemon.default')),
    0o600,
  );
  put(
    tree,
    'etc/volume-daemon/nbd-server.conf',
    readFileSync(join(root, 'packaging/deb/nbd-server.conf')),
    0o644,
  );
}

function putDocuments(tree, version, epoch) {
  const copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: volume-daemon

Files: *
Copyright: The volume-daemon authors
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
 Packages that the program is built from keep their licences in /${LIB}/server/node_modules; the licence of an
 embedded Node is in /${DOC}/LICENSE.node.
`;
  put(tree, `${DOC}/copyright`, copyright);
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  const entry = `volume-daemon (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- The volume-daemon authors <volume-daemon@localhost>  ${date}\n`;
  put(tree, `${DOC}/changelog.gz`, gzip(Buffer.from(entry)));
  put(tree, `${DOC}/CHANGELOG.md`, readFileSync(join(root, 'CHANGELOG.md')));
  for (const name of filesBelow(join(root, 'docs')).filter((one) => one.endsWith('.md')))
    put(tree, `${DOC}/${name}`, readFileSync(join(root, 'docs', name)));
}

function putControl(tree, { version, architecture, withNode }) {
  for (const name of ['postinst', 'prerm', 'postrm'])
    put(tree, `DEBIAN/${name}`, readFileSync(join(root, 'packaging/deb', name)), 0o755);
  put(tree, 'DEBIAN/conffiles', `${CONFFILES.join('\n')}\n`);
  const files = filesBelow(tree).filter((path) => !path.startsWith('DEBIAN/'));
  const sums = files.map(
    (path) =>
      `${createHash('md5')
        .update(readFileSync(join(tree, path)))
        .digest('hex')}  ${path}`,
  );
  put(tree, 'DEBIAN/md5sums', `${sums.join('\n')}\n`);
  const kib = files.reduce((sum, path) => sum + Math.ceil(lstatSync(join(tree, path)).size / 1024), 0);
  const node = withNode ? 'libc6 (>= 2.28), libstdc++6 (>= 9)' : 'nodejs (>= 20.19)';
  put(
    tree,
    'DEBIAN/control',
    `Package: volume-daemon
Version: ${version}
Architecture: ${architecture}
Maintainer: The volume-daemon authors <volume-daemon@localhost>
Installed-Size: ${kib}
Depends: ${node}, nbd-server
Recommends: mariadb-server | virtual-mysql-server
Section: admin
Priority: optional
Description: Volume Management Daemon of a MigrateKit appliance
 The one owner of CloudStack volumes on an appliance: creates, attaches, detaches and
 deletes them, ties each to the right Linux device by its serial, exports it over NBD,
 and tells everybody else over REST.
`,
  );
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

/** Writes a file below the tree, folders included. */
function put(tree, path, content, mode = 0o644) {
  const full = join(tree, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  chmodSync(full, mode);
}

/** Without name and time, as reproducible packages need it. */
function gzip(content) {
  return gzipSync(content, { level: 9 });
}

function filesBelow(folder, prefix = '') {
  return readdirSync(join(folder, prefix), { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(prefix, entry.name);
      return entry.isDirectory() ? filesBelow(folder, path) : [path];
    })
    .sort();
}

/** Rights and times that do not depend on who builds, where and when. */
function settle(path, epoch) {
  const info = lstatSync(path);
  if (info.isDirectory()) {
    chmodSync(path, 0o755);
    for (const name of readdirSync(path)) settle(join(path, name), epoch);
  } else if (info.isFile() && path.includes(`/${LIB}/`)) {
    chmodSync(path, info.mode & 0o111 ? 0o755 : 0o644);
  }
  lutimesSync(path, epoch, epoch);
}

function run(command, args, env) {
  const result = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env } });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} failed:\n${result.stdout}${result.stderr}`);
}
