import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findProgram } from '~/lab/packages';

const SERIAL = '0f3c9a517be24d609a44';
const dir = mkdtempSync(join(tmpdir(), 'udev-rules-'));
/** Folders of the package that this machine did not have: places to mount something else on. */
const made = ['/usr/lib/volume-daemon', '/etc/volume-daemon', '/var/lib/volume-daemon'].filter(
  (folder) => !existsSync(folder),
);
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
  for (const folder of made) if (existsSync(folder)) rmdirSync(folder);
});

/** udev shows what it would do with a disk of this machine, to which another serial is given. */
const disk = existsSync('/sys/block')
  ? readdirSync('/sys/block').find((name) => name.startsWith('vd') && existsSync(`/sys/block/${name}/serial`))
  : undefined;

/** Runs in a mount namespace of its own, in which /run and the folders of the package are empty. */
function judge(setUp: string, action: 'add' | 'remove' = 'add'): string {
  const udevadm = findProgram('udevadm') ?? 'udevadm';
  const script = `set -e
    for folder in /usr/lib/volume-daemon /etc/volume-daemon /var/lib/volume-daemon; do mkdir -p $folder; mount -t tmpfs none $folder; done
    mount -t tmpfs none /run
    mkdir -p /run/udev/data /run/udev/rules.d
    cp ${resolve('packaging/udev/59-volume-daemon.rules')} /run/udev/rules.d/
    cp ${resolve('packaging/udev/is-own-disk')} /usr/lib/volume-daemon/
    mount --bind ${join(dir, 'serial')} "$(readlink -f /sys/block/${disk})/serial"
    ${setUp}
    ${udevadm} test --action=${action} /sys/block/${disk} 2>&1`;
  writeFileSync(join(dir, 'serial'), SERIAL);
  const { stdout } = spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return stdout;
}

const plugged = 'mkdir -p /run/volume-daemon';
/**
 * `/var` may be a file system of its own, which is not mounted yet when udev looks at the disks of a boot.
 */
const marked = `umount /var/lib/volume-daemon; mount -t tmpfs none /var; mkdir /etc/volume-daemon/hands-off; touch /etc/volume-daemon/hands-off/${SERIAL}`;
const own = `echo "serial ${SERIAL}" > /etc/volume-daemon/own-disks`;

describe('the udev rules, judged by udev itself', () => {
  const missing =
    findProgram('udevadm') === null
      ? 'udevadm is not installed'
      : disk === undefined
        ? 'this machine has no virtio disk'
        : null;

  it.for<[story: string, setUp: string, handsOff: boolean]>([
    ['a disk of a volume that is plugged in', plugged, true],
    ['an exported disk, at the next boot', marked, true],
    ['a disk that is there at boot', '', false],
    ['an own disk that is plugged in', `${plugged}; ${own}`, false],
    ['an own disk, whatever was exported before', `${marked}; ${own}`, false],
    [
      'an own disk in a list written on Windows',
      `${plugged}; printf '# ours\\r\\nserial ${SERIAL}\\r\\n' > /etc/volume-daemon/own-disks`,
      false,
    ],
    [
      'an own disk of which a partition is listed',
      `${plugged}; echo /dev/disk/by-id/virtio-${SERIAL}-part1 > /etc/volume-daemon/own-disks`,
      false,
    ],
  ])('%s', ([, setUp, handsOff], { skip }) => {
    if (missing !== null) skip(missing);
    const said = judge(setUp);
    expect(said).toContain(`/dev/disk/by-id/virtio-${SERIAL}`);
    const flags = /^(UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG=1|SYSTEMD_READY=0|UDISKS_IGNORE=1)$/gm;
    expect(said.match(flags)?.length ?? 0).toBe(handsOff ? 3 : 0);
  });

  it('rules that probe by themselves what nobody has recognised, as those of bcache, leave a migrated disk alone', ({
    skip,
  }) => {
    if (missing !== null) skip(missing);
    const bcache = [
      'SUBSYSTEM!="block", GOTO="bcache_end"',
      'ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}=="1", GOTO="bcache_end"',
      'ENV{ID_FS_TYPE}=="?*", GOTO="bcache_end"',
      'ENV{PROBED_BY_BCACHE}="1"',
      'LABEL="bcache_end"',
    ];
    const rules = bcache.map((line) => `'${line}'`).join(' ');
    const said = judge(`${plugged}; printf '%s\\n' ${rules} > /run/udev/rules.d/69-bcache.rules`);
    expect(said).toContain('VOLUME_DAEMON_HANDS_OFF=1');
    expect(said).not.toContain('PROBED_BY_BCACHE');
  });

  it('a disk that leaves has the exports closed that led to it', ({ skip }) => {
    if (missing !== null) skip(missing);
    const [, diskseq] = /^DISKSEQ=(\d+)$/m.exec(readFileSync(`/sys/block/${disk}/uevent`, 'utf8')) ?? [];
    const helper = `/usr/lib/volume-daemon/close-links ${disk} ${diskseq}`;
    expect(judge('mkdir -p /run/volume-daemon/exports', 'remove')).toContain(helper);
    expect(judge('mkdir -p /run/volume-daemon/exports')).not.toContain(helper);
  });
});
