import { afterEach, beforeEach, vi } from 'vitest';
import { FakeDaemon } from '~/test/support/fake-daemon';
import { HttpApp } from '~/test/support/http-app';
import { volumectl } from './process';

vi.mock('nitropack/runtime', async () => (await import('~/test/support/nitro-runtime')).nitroRuntime);

/*
 * The built volumectl as a process against our real routes with a daemon in memory, which does only what the
 * test tells it to. Each test of a file that imports this has new ones.
 */
export let daemon: FakeDaemon;
export let app: HttpApp;
export let env: { VOLUMECTL_URL: string };
beforeEach(async () => {
  daemon = new FakeDaemon();
  app = await HttpApp.start(daemon);
  env = { VOLUMECTL_URL: `http://127.0.0.1:${app.port}` };
});
afterEach(() => app.close());

export const ctl = (...args: string[]) => volumectl(args, env);

/** After `app` was closed: a daemon, by default the same one, listens on that port. */
export async function restart(port: number, next: FakeDaemon = daemon): Promise<void> {
  daemon = next;
  app = await HttpApp.start(next, port);
}
