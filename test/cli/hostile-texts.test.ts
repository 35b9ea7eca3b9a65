import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { cloudVolume, VOLUME } from '~/test/support/canned';
import { FakeDaemon, listed } from '~/test/support/fake-daemon';
import { HttpApp } from '~/test/support/http-app';
import { volumectl } from './process';

vi.mock('nitropack/runtime', async () => (await import('~/test/support/nitro-runtime')).nitroRuntime);

/** Names come from other people: whichever way one reaches the terminal, it must not command it. */
const HOSTILE = 'evil\u009b2J\u202e\u001b[2J\nforged';
const SHOWN = 'evil\\u009b2J\\u202e\\u001b[2J\\u000aforged';

let daemon: FakeDaemon;
let app: HttpApp;
beforeEach(async () => {
  daemon = new FakeDaemon();
  app = await HttpApp.start(daemon);
});
afterEach(() => app.close());

const ctl = (...args: string[]) => volumectl(args, { VOLUMECTL_URL: `http://127.0.0.1:${app.port}` });

it('in the hint which volume was meant', async () => {
  daemon.listed.length = 0;
  daemon.listed.push(listed(cloudVolume(VOLUME, { name: HOSTILE, vmName: HOSTILE })));
  const { error } = await ctl('volume', 'show', VOLUME.slice(0, 8));
  expect(error.split('\n')[0]).toBe(
    `${VOLUME.slice(0, 8)} is volume ${VOLUME} (${SHOWN}, 5 GiB, Ready, on VM ${SHOWN})`,
  );
});

it('a name that only looks like another one: marks without a width, line separators', async () => {
  daemon.listed.length = 0;
  daemon.listed.push(listed(cloudVolume(VOLUME, { name: 'da\u200bta\u2028\u061c\ufeff' })));
  const { error } = await ctl('volume', 'show', VOLUME.slice(0, 8));
  expect(error).toContain('(da\\u200bta\\u2028\\u061c\\ufeff, ');
});

it('in what the daemon refuses with', async () => {
  const { code, error } = await ctl('volume', 'show', 'evil\u202e');
  expect(code).toBe(3);
  expect(error.split('\n')[0]).toContain('evil\\u202e');
  expect(error).not.toContain('\u202e');
});

it('in the error of an operation; programs get the same text', async () => {
  const { id } = await daemon.operations.request('detach', { volume_id: VOLUME });
  daemon.move(id, { status: 'failed', error: HOSTILE, errorCode: 'DEVICE_IN_USE', completedAt: 1 });
  const forPeople = await ctl('operation', 'watch', id);
  expect(forPeople.error).toContain(`the detach has failed: ${SHOWN} (DEVICE_IN_USE)`);
  expect(forPeople.out + forPeople.error).not.toMatch(/[\u009b\u202e\u001b]/);
  const { out } = await ctl('operation', 'watch', id, '--json');
  expect(JSON.parse(out)).toMatchObject({ error: HOSTILE });
  expect(out).not.toMatch(/[\u009b\u001b]/);
  const yaml = (await ctl('operation', 'show', id, '-o', 'yaml')).out;
  expect(parse(yaml)).toMatchObject({ error: HOSTILE });
  expect(yaml).not.toMatch(/[\u009b\u001b]/);
});
