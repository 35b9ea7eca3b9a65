import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** Debian's Chromium, in a fresh profile, that talks to nobody but the page under test. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

const NOTE_VIOLATIONS = `
globalThis.violations = [];
document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, sample }) =>
  globalThis.violations.push([effectiveDirective, blockedURI, sample].join(' ')));`;

/** A page, and everything it did that it should not have done. */
export interface WatchedPage {
  readonly page: Page;
  /** Requests to another origin than the daemon's. */
  readonly strayed: string[];
  /**
   * Errors of scripts and of the console; those of requests that fail while the daemon is away are not told
   * apart here.
   */
  readonly errors: string[];
  /** What the page's policy has refused, as the browser reports it. */
  violations(): Promise<string[]>;
  close(): Promise<void>;
}

export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const origin = new URL(url).origin;
  const strayed: string[] = [];
  const errors: string[] = [];
  page.on('request', (request) => {
    const { protocol, origin: to } = new URL(request.url());
    if (protocol !== 'data:' && protocol !== 'blob:' && to !== origin) strayed.push(request.url());
  });
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.addInitScript(NOTE_VIOLATIONS);
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  return {
    page,
    strayed,
    errors,
    violations: () => page.evaluate<string[]>('globalThis.violations'),
    close: () => context.close(),
  };
}
