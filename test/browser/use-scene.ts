import type { BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import type { WatchedPage } from './browser';
import { type Scene, setScene } from './scene';
import { useBrowser } from './use-browser';

/** The scene of a test file, and a browser that opens its pages. */
export function useScene() {
  const browser = useBrowser();
  let scene: Scene;
  beforeAll(async () => {
    scene = await setScene();
  });
  afterAll(() => scene?.close());
  const open = (path: string, options?: BrowserContextOptions): Promise<WatchedPage> =>
    browser.open(new URL(path, scene.walk.daemon.url).href, options);
  return {
    get walk() {
      return scene.walk;
    },
    get volumes() {
      return scene.volumes;
    },
    holdAttach: () => scene.holdAttach(),
    release: () => scene.release(),
    makeGhost: () => scene.makeGhost(),
    open,
    /** A page, once it hears of the daemon's events. */
    async visit(path: string): Promise<Page> {
      const { page } = await open(path);
      await page.locator('#connection', { hasText: 'Live' }).waitFor();
      return page;
    },
  };
}
