import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { openPage, startBrowser, type WatchedPage } from './browser';

/** How long a page is waited for. */
export const PATIENCE_MS = 45_000;

/** The browser of a test file; the pages of a test are closed after it. */
export function useBrowser() {
  let browser: Browser;
  const opened: WatchedPage[] = [];
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterEach(async () => {
    for (const watched of opened.splice(0)) await watched.close();
  });
  afterAll(() => browser?.close());
  return {
    async open(url: string, options?: BrowserContextOptions): Promise<WatchedPage> {
      const watched = await openPage(browser, url, options);
      opened.push(watched);
      watched.page.setDefaultTimeout(PATIENCE_MS);
      return watched;
    },
  };
}
