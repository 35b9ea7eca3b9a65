import { afterEach, beforeEach, vi } from 'vitest';
import { FakeDaemon } from './fake-daemon';
import { HttpApp } from './http-app';

vi.mock('nitropack/runtime', async () => (await import('./nitro-runtime')).nitroRuntime);

/** The HTTP app of the running test: each test gets a new one with a new fake daemon. */
export function useHttpApp() {
  let daemon: FakeDaemon;
  let app: HttpApp;
  beforeEach(async () => {
    daemon = new FakeDaemon();
    app = await HttpApp.start(daemon);
  });
  afterEach(() => app.close());
  return {
    get daemon() {
      return daemon;
    },
    get port() {
      return app.port;
    },
    get logged() {
      return app.logged;
    },
    send: (...parameters: Parameters<HttpApp['send']>) => app.send(...parameters),
    get: (...parameters: Parameters<HttpApp['get']>) => app.get(...parameters),
    post: (...parameters: Parameters<HttpApp['post']>) => app.post(...parameters),
    open: (...parameters: Parameters<HttpApp['open']>) => app.open(...parameters),
  };
}
