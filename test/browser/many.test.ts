import { afterAll, beforeAll, expect, it } from 'vitest';
import { Walk } from '../integration/daemon/walk';
import { seriousFindings } from './axe';
import { useBrowser } from './use-browser';

/** Five hundred operations at once, of which CloudStack does not finish one. */
const OPERATIONS = 500;
const browser = useBrowser();
let walk: Walk;

beforeAll(async () => {
  walk = await Walk.begin({ env: { NBD_BACKEND: 'none' } });
  walk.lab.cloud.model.latencies.create = { accept: 0, job: 3_600_000 };
  for (let n = 0; n < OPERATIONS; n += 1)
    await walk.api.post('/api/v1/volumes', walk.createBody(`disk-${n}`));
});
afterAll(() => walk?.close());

it('are counted, and folded: what runs comes first, the rest on demand', async () => {
  const watched = await browser.open(`${walk.daemon.url}/`);
  const { page } = watched;
  await page.locator('#active-count', { hasText: String(OPERATIONS) }).waitFor();
  const rows = page.locator('#active-list > li');
  expect(await rows.count()).toBe(12);
  // A slow machine may hold it up for a moment, which is told.
  await rows.first().locator('.pill', { hasText: 'running' }).waitFor();
  expect(await page.locator('#history-list > li').count()).toBe(25);
  expect(await seriousFindings(page)).toEqual([]);
  await page.getByRole('button', { name: /^Show \d+ more$/ }).click();
  expect(await rows.count()).toBeGreaterThan(200);
  await page.getByRole('button', { name: 'Show the first 12 only' }).click();
  expect(await rows.count()).toBe(12);
  await page.locator('#history-more').click();
  await page.locator('#history-list > li').nth(40).waitFor();
  expect(watched.errors).toEqual([]);
});
