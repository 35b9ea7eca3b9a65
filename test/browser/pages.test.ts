import { EventEmitter, once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type LabAppliance, startAppliance } from '~/lab/appliance';
import type { DaemonProcess } from '~/lab/daemon';
import { endpoints } from '~/server/http/endpoints/registry';
import { PATIENCE_MS, useBrowser } from './use-browser';

/** The API document, and both pages behind a token; the built daemon, in Debian's Chromium. */
const browser = useBrowser();
let lab: LabAppliance;
let daemon: DaemonProcess | null = null;
const TOKEN = 'correct horse battery staple';

beforeAll(async () => {
  lab = await startAppliance({ env: { NBD_BACKEND: 'none' } });
});
afterAll(() => lab?.close());

afterEach(() => daemon?.stop());

/** One daemon at a time: a second one would stand by. */
async function start(env: Record<string, string> = {}): Promise<DaemonProcess> {
  daemon = await lab.startDaemon({ env });
  return daemon;
}

/**
 * What the bundle of @scalar/api-reference tries although it knows that it may be refused: whether code can
 * be made from text (its schema library does without when not).
 */
const EXPECTED_REFUSALS = ['script-src eval'];

describe('/docs', () => {
  it('shows every endpoint from our own files: no request leaves the origin, no other refusal, no error', async () => {
    const { url } = await start();
    const watched = await browser.open(`${url}/docs`);
    const { page, strayed, errors } = watched;
    await page.locator('#notice').waitFor({ state: 'detached', timeout: PATIENCE_MS });
    await page.locator('text=Volume Management Daemon').first().waitFor({ timeout: PATIENCE_MS });
    for (const { summary } of endpoints()) {
      await page.getByText(summary).first().waitFor({ state: 'attached', timeout: PATIENCE_MS });
    }
    expect(strayed).toEqual([]);
    expect(errors).toEqual([]);
    expect([...new Set((await watched.violations()).map((text) => text.trim()))]).toEqual(EXPECTED_REFUSALS);
    await watched.close();
  });
});

describe('with TOKEN_FILE', () => {
  it('the dashboard asks for the token, keeps it for the tab, and the API document uses it too', async () => {
    const tokenFile = join(lab.dir, 'token');
    await writeFile(tokenFile, `${TOKEN}\n`);
    const { url } = await start({ TOKEN_FILE: tokenFile });
    expect((await fetch(`${url}/api/v1/health`)).status).toBe(401);
    const watched = await browser.open(`${url}/`);
    const { page } = watched;
    await page.locator('#token-form').waitFor();
    // What cannot stand in a header is refused where it is typed: kept, it would leave a page that
    // can ask for nothing.
    await page.locator('#token').fill(`“${TOKEN}”`);
    await page.keyboard.press('Enter');
    await page.locator('#token:invalid').waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    await page.locator('#token').fill(` ${TOKEN} `);
    await page.keyboard.press('Enter');
    await page.locator('#connection', { hasText: 'Live' }).waitFor();
    await page.locator('#health-list > li').nth(4).waitFor();
    await page.locator('#token-form').waitFor({ state: 'hidden' });
    await page.goto(`${url}/docs`);
    await page.locator('#notice').waitFor({ state: 'detached' });
    expect(watched.strayed).toEqual([]);
    expect(page.url(), 'the token is in no address').not.toContain('horse');
    await watched.close();
  });

  it('a refusal of what was asked before the token was entered does not ask for it again', async () => {
    const tokenFile = join(lab.dir, 'token');
    await writeFile(tokenFile, `${TOKEN}\n`);
    const { url } = await start({ TOKEN_FILE: tokenFile });
    const { page, close } = await browser.open('about:blank');
    const early = new EventEmitter();
    await page.route(
      '**/api/v1/health',
      async (route) => {
        const answer = await route.fetch();
        const released = once(early, 'release');
        early.emit('held', answer.status());
        await released;
        await route.fulfill({ response: answer });
      },
      { times: 1 },
    );
    const held = once(early, 'held');
    await page.goto(url);
    expect(await held).toEqual([401]);
    await page.locator('#token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('#connection', { hasText: 'Live' }).waitFor();
    early.emit('release');
    await page.locator('#health-list > li').nth(4).waitFor();
    await page.locator('#token-form').waitFor({ state: 'hidden' });
    await close();
  });
});

describe('the files of the pages', () => {
  it('come with their headers, compressed when asked for, and are not sent again when unchanged', async () => {
    const { url } = await start();
    const first = await fetch(`${url}/ui/dashboard.js`);
    expect(Object.fromEntries(first.headers)).toMatchObject({
      'content-type': expect.stringContaining('javascript'),
      'content-encoding': 'gzip',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-cache',
    });
    const etag = first.headers.get('etag') ?? '';
    expect(etag).not.toBe('');
    const again = await fetch(`${url}/ui/dashboard.js`, { headers: { 'if-none-match': etag } });
    expect(again.status).toBe(304);
    const missing = await fetch(`${url}/ui/nothing.js`);
    expect([missing.status, await missing.json()]).toMatchObject([404, { code: 'NOT_FOUND' }]);
    for (const path of ['/ui/../package.json', '/ui/..%2f..%2fserver/index.mjs', '/ui/%2e%2e/nitro.json'])
      expect((await fetch(url + path)).status, path).toBe(404);
  });
});
