import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NODE_ENVIRONMENT, NODE_FLAGS } from '~/lab/daemon';
import { LIMITS } from '~/server/core/limits';
import type { Variable } from '~/server/daemon/configuration/variable';
import { VARIABLES } from '~/server/daemon/configuration/variables';

function unitFile(name: string): string {
  return readFileSync(new URL(`../../../packaging/systemd/${name}`, import.meta.url), 'utf8');
}

it('the laboratory starts the daemon with the flags and the environment of the packaged unit, so that its figures are the operator’s', () => {
  const unit = unitFile('volume-daemon.service');
  const command = /^ExecStart=(.*)$/m.exec(unit)?.[1]?.split(' ');
  expect(command?.slice(1, -1)).toEqual(NODE_FLAGS);
  const environment = [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [
    name,
    value,
  ]);
  expect(Object.fromEntries(environment)).toEqual(NODE_ENVIRONMENT);
});

it('whoever accepts the clients of exports gets no secret of the environment file that it shares with the daemon', () => {
  const variables: readonly Variable<unknown>[] = Object.values(VARIABLES);
  const secrets = variables.filter(({ secret }) => secret).map(({ name }) => name);
  const unset = /^UnsetEnvironment=(.*)$/m.exec(unitFile('volume-daemon-nbd.service'))?.[1]?.split(' ');
  expect(unset).toEqual(expect.arrayContaining(secrets));
});

it('the daemon starts after an nbd-server of the system: who has the port of the exports decides which server is used', () => {
  const after = /^After=(.*)$/m.exec(unitFile('volume-daemon.service'))?.[1]?.split(' ');
  expect(after).toContain('nbd-server.service');
});

it('a client of an export does not choose how urgent a line of the journal is: nbdkit prints names as they are asked for', () => {
  const settings = unitFile('volume-daemon-nbd.service');
  expect(settings).toMatch(/^SyslogLevelPrefix=no$/m);
});

it('the daemon may write the names of exported disks where udev sees them before /var is mounted', () => {
  const rules = readFileSync(
    new URL('../../../packaging/udev/59-volume-daemon.rules', import.meta.url),
    'utf8',
  );
  const folder = /^TEST=="(\S+)\/\$env\{VOLUME_DAEMON_DISK\}"/m.exec(rules)?.[1] ?? '';
  expect(folder).toMatch(/^\/etc\//);
  const writable = /^ReadWritePaths=(.*)$/m.exec(unitFile('volume-daemon.service'))?.[1]?.split(' ');
  expect(writable).toContain(`-${folder}`);
});

it('the daemon may ask whether a partition is in use also from the 16th on, which the kernel numbers apart', () => {
  const settings = unitFile('volume-daemon.service');
  expect(settings).toMatch(/^DeviceAllow=block-259 r$/m);
});

it('a storage that hangs leaves the daemon threads for files: the links of exports are made and removed all the same', () => {
  const threads = /^Environment=UV_THREADPOOL_SIZE=(\d+)$/m.exec(unitFile('volume-daemon.service'))?.[1];
  const { SERIAL_READS_AT_ONCE, EXCLUSIVE_OPENS_STUCK_MAX, DISK_FLUSHES_AT_ONCE } = LIMITS;
  const held = SERIAL_READS_AT_ONCE + EXCLUSIVE_OPENS_STUCK_MAX + DISK_FLUSHES_AT_ONCE;
  expect(Number(threads ?? 4)).toBeGreaterThanOrEqual(held + 2);
});
