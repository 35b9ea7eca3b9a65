import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const OLD = '/var/lib/volume-daemon/hands-off';
const bin = mkdtempSync(join(tmpdir(), 'upgrade-'));
afterAll(() => rmSync(bin, { recursive: true, force: true }));

function program(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

beforeAll(() => {
  for (const name of ['deb-systemd-helper', 'systemctl', 'lsblk', 'pidof', 'udevadm', 'update-rc.d'])
    program(name, 'exit 1');
  // The version before finishes an attach while it stops.
  program(
    'deb-systemd-invoke',
    `if [ "$1 $2" = "restart volume-daemon.service" ]; then mkdir -p ${OLD}; touch ${OLD}/late; fi`,
  );
});

/**
 * What is in the folder of the marks after an upgrade, in a mount namespace where the folders of
 * the system are empty.
 */
function marksAfter(before: string): string[] {
  const script = `set -e
    for folder in /etc /var /run; do mount -t tmpfs none $folder; done
    mkdir -p /run/systemd/system /var/lib/volume-daemon
    ${before}
    PATH=${bin}:$PATH sh ${resolve('packaging/deb/postinst')} configure 1.0.0 >&2
    ls /etc/volume-daemon/hands-off`;
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', script],
    { encoding: 'utf8', timeout: 60_000 },
  );
  expect(status, stderr).toBe(0);
  return stdout.split('\n').filter((name) => name !== '');
}

it.runIf(process.getuid?.() === 0)(
  'an upgrade moves the marks of exported disks, also those that the version before has left while it stopped',
  () => {
    expect(marksAfter(`mkdir ${OLD}; touch ${OLD}/early`)).toEqual(['early', 'late']);
    expect(marksAfter('')).toEqual(['late']);
  },
  120_000,
);
