import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SyncReply } from '~/server/http/schemas/service';
import { Walk } from '../integration/daemon/walk';
import { useBrowser } from './use-browser';

/**
 * What the page shows while something cannot be known: never an empty list, never "everything is in order".
 */
const browser = useBrowser();
let walk: Walk;
let volumeId: string;

beforeAll(async () => {
  walk = await Walk.begin();
  volumeId = await walk.create('erp-db-disk-0');
  await walk.attach(volumeId);
});
afterAll(() => walk?.close());

async function visit(): Promise<Page> {
  const watched = await browser.open(`${walk.daemon.url}/`);
  return watched.page;
}

const row = (page: Page) => page.locator(`#device-list > [data-volume="${volumeId}"]`);
const title = (page: Page, word: string) => page.locator('#verdict-word', { hasText: word }).waitFor();
const force = () => walk.api.post<SyncReply>('/api/v1/admin/force-sync');

async function witnesses(page: Page): Promise<string[]> {
  const list = row(page).locator('.witnesses > li');
  await list.nth(3).waitFor();
  return (await list.locator('p:first-child').allInnerTexts()).map((text) => text.trim());
}

it('a volume opened tells what each witness says of it', async () => {
  const page = await visit();
  await title(page, 'Everything is in order');
  await row(page).locator('summary').click();
  expect(await witnesses(page)).toEqual([
    expect.stringMatching(/^CloudStack\s+seen$/),
    expect.stringMatching(/^Guest\s+seen$/),
    expect.stringMatching(/^Database\s+seen$/),
    expect.stringMatching(/^Export server\s+seen$/),
  ]);
  expect(await row(page).locator('.witnesses').textContent()).toContain('Ready: it is ready');
});

it('while CloudStack is away: not judged since, in title, drifts, dialog and evidence', async () => {
  const page = await visit();
  await title(page, 'Everything is in order');
  walk.lab.cloud.model.restart({ downFor: 3_600_000 });
  expect((await force()).report.judged).toBe(false);
  await title(page, 'Needs attention');
  await page.locator('#drift-stale', { hasText: /not judged since/ }).waitFor();
  expect(await page.locator('#drift-empty').isVisible()).toBe(false);
  await row(page).locator('summary').click();
  const [cloud, guest] = await witnesses(page);
  expect(cloud).toMatch(/^CloudStack\s+unknown\s+since \d\d:\d\d:\d\d$/);
  expect(guest).toMatch(/^Guest\s+seen$/);
  await page.locator('#sync-open').click();
  await page.locator('#sync-title', { hasText: 'Not judged' }).waitFor();
  expect(await page.locator('#sync-summary').textContent()).toContain('Nothing was compared');
  await page.locator('#sync-close').click();
  walk.lab.cloud.model.restart();
  expect((await force()).report.judged).toBe(true);
  await page.locator('#drift-stale').waitFor({ state: 'hidden' });
});

it('while the database is away: what was known stays and is marked as old; a new page says that it does not know', async () => {
  const before = await visit();
  await row(before).waitFor();
  await walk.lab.database.kill();
  await before.locator('#device-stale', { hasText: /Below is how it was at/ }).waitFor();
  expect(await row(before).isVisible()).toBe(true);
  const fresh = await visit();
  await fresh.locator('#device-stale', { hasText: /^Not known since \d\d:\d\d:\d\d: / }).waitFor();
  await fresh.locator('#history-stale', { hasText: /^Not known since \d\d:\d\d:\d\d: / }).waitFor();
  for (const empty of ['#device-empty', '#active-empty', '#history-empty'])
    expect(await fresh.locator(empty).isVisible(), empty).toBe(false);
  expect(await fresh.locator('#verdict-reason').textContent()).not.toContain('Nothing is running');
  expect(await fresh.locator('#verdict-word').textContent()).not.toBe('Everything is in order');
  await walk.lab.database.restart();
  await row(fresh).waitFor();
  await fresh.locator('#device-stale').waitFor({ state: 'hidden' });
});
