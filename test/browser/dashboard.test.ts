import type { BrowserContextOptions, Locator, Page, Request } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { SyncReply } from '~/server/http/schemas/service';
import { seriousFindings } from './axe';
import type { WatchedPage } from './browser';
import { HOSTILE_NAME } from './scene';
import { PATIENCE_MS } from './use-browser';
import { useScene } from './use-scene';

/** The dashboard of the built daemon, on real parts, in Debian's Chromium. */
const GIB = 1024 ** 3;
const scene = useScene();

async function visit(options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const watched = await scene.open('/', options);
  await connection(watched.page, 'Live');
  await watched.page.locator('#history-list > li').first().waitFor();
  return watched;
}

const connection = (page: Page, word: string) =>
  page.locator('#connection', { hasText: word }).waitFor({ timeout: PATIENCE_MS });
/** The text a reader sees. */
const shown = async (what: Locator) => (await what.allInnerTexts()).join('\n');
const mapRow = (page: Page, volume: string) => page.locator(`#device-list > [data-volume="${volume}"]`);

/** Nothing went elsewhere, nothing was refused by the policy, nothing was logged as an error. */
async function expectClean({ strayed, errors, violations }: WatchedPage): Promise<void> {
  expect({ strayed, errors, violations: await violations() }).toEqual({
    strayed: [],
    errors: [],
    violations: [],
  });
}

describe('what it shows', () => {
  it('health with its reasons, and each volume with its device, its identity and its export', async () => {
    const watched = await visit();
    const { page } = watched;
    // The scene has one failure: no green title stands above it.
    await page.locator('#verdict-word', { hasText: 'Needs attention' }).waitFor();
    await page.locator('#verdict-reason', { hasText: '1 failed in the last hour.' }).waitFor();
    const health = await page.locator('#health-list > li').allInnerTexts();
    expect(health.map((text) => text.split('\n')[0])).toEqual([
      'CloudStack',
      'Database',
      'Devices',
      'NBD exports',
      'Comparison',
      'Appliance',
      'Tokens',
    ]);
    expect(health.join(' ')).toContain('CloudStack 4.20');
    const { database, elsewhere } = scene.volumes;
    const [mapping] = await scene.walk.api.get<{ serial: string }[]>('/api/v1/devices');
    expect(mapping?.serial).toBeTruthy();
    await mapRow(page, database).locator('text=erp-db-disk-0').waitFor();
    const row = await shown(mapRow(page, database));
    expect(row).toContain(`serial ${database.replaceAll('-', '').slice(0, 20)}`);
    expect(row).toMatch(/vdb\s+verified/);
    expect(row).toContain(`migration-vol-${database}`);
    expect(row).toContain(`port ${scene.walk.lab.nbd.port}`);
    expect(await shown(mapRow(page, elsewhere))).toContain('attached to another VM');
    await expectClean(watched);
  });

  it('what is copied into a volume: a bar with the share written, the rate, the time left, and who is connected', async () => {
    const watched = await visit();
    const { page } = watched;
    const { files } = scene.volumes;
    const bar = mapRow(page, files).getByRole('progressbar', { name: 'Share written' });
    await bar.waitFor();
    expect(await bar.getAttribute('value')).toBe('0');
    const { guest } = scene.walk.lab;
    // The kernel goes on counting, as it does while a client copies, until the page has seen it move.
    let written = 50 * GIB;
    await expect
      .poll(
        async () => {
          written += 64 * 1024 ** 2;
          await guest.count(files, { written });
          return shown(mapRow(page, files));
        },
        { timeout: PATIENCE_MS },
      )
      .toMatch(/GiB of 250 GiB \(\d+ %\).* [KMG]iB\/s written · .* left/);
    expect(Number(await bar.getAttribute('value'))).toBeGreaterThanOrEqual(0.2);
    expect(await shown(mapRow(page, files))).toMatch(/no client · last I\/O \d/);
    await expectClean(watched);
  });

  it('an export that nobody can write is called so, with its port', async () => {
    const { hostile, database } = scene.volumes;
    await scene.walk.api.post('/api/v1/exports', { volume_id: hostile, read_only: true });
    const { page } = await visit();
    const { readOnlyPort } = scene.walk.lab.nbdkit;
    await mapRow(page, hostile).locator(`text=port ${readOnlyPort} · read-only`).waitFor();
    expect(await shown(mapRow(page, database))).not.toContain('read-only');
  });

  it('the course of the last hour: what ended, how long it took, the queue, what flows; the address keeps the span', async () => {
    const watched = await visit();
    const { page } = watched;
    const charts = page.locator('#chart-list .chart');
    await charts.first().locator('canvas').waitFor();
    expect(await charts.locator('h3').allInnerTexts()).toEqual([
      'Operations that ended',
      'How long they took',
      'Queue',
      'Bytes a second, exports together',
    ]);
    expect(await charts.nth(2).locator('.legend').textContent()).toMatch(/running: \d.*waiting: \d/);
    expect(await charts.first().getByRole('img').getAttribute('aria-label')).toMatch(
      /completed at most [1-9]\d*, .*failed at most 1/,
    );
    await page.getByLabel('Time').selectOption('day');
    await page.waitForResponse(/metrics\/history\?span=day/);
    expect(page.url()).toMatch(/\/\?span=day$/);
    await expectClean(watched);
  });

  it('hostile names as the text they are', async () => {
    const watched = await visit();
    const { page } = watched;
    await mapRow(page, scene.volumes.hostile).locator('.subject', { hasText: HOSTILE_NAME }).waitFor();
    expect(await page.locator('#history-list .subject', { hasText: HOSTILE_NAME }).count()).toBe(2);
    expect(await page.locator('#main img, #main script').count()).toBe(0);
    expect(await page.evaluate('globalThis.hacked')).toBeUndefined();
    await expectClean(watched);
  });

  it('a name that would turn around what stands behind it, or look like another one, with its characters written out', async () => {
    const { walk } = scene;
    const other = walk.lab.cloud.model.addVm({ name: '\u202ebd-revres' }).id;
    const id = await walk.create('\u202eksid-atad\u200b 3');
    await walk.attach(id, other);
    const { page } = await visit();
    const row = page.locator('#history-list > li', { hasText: 'Attach' }).filter({ hasText: 'ksid-atad' });
    expect(await shown(row)).toContain('Attach \\u202eksid-atad\\u200b 3');
    await page.goto(`${walk.daemon.url}/volumes?name=ksid-atad`);
    await page.locator('#volumes-list > li').waitFor();
    expect(await shown(page.locator('#volumes-list'))).toContain('attached to \\u202ebd-revres · zone-1');
    await page.goto(`${walk.daemon.url}/volumes/${id}`);
    await page.locator('#volume-title', { hasText: '\\u202eksid-atad\\u200b 3' }).waitFor();
    expect(await page.title()).toBe('\\u202eksid-atad\\u200b 3: volume daemon');
    await walk.detach(id);
    await walk.remove(id);
  });

  it('the history by status, by name and by id; opened, it tells the steps and their times', async () => {
    const watched = await visit();
    const { page } = watched;
    const rows = page.locator('#history-list > li');
    await page.locator('select[name=status]').selectOption('failed');
    await page.locator('#history-list > li:not([data-status=failed])').first().waitFor({ state: 'detached' });
    expect(await rows.count()).toBe(1);
    expect(await shown(rows.first())).toContain('VOLUME_ATTACHED_ELSEWHERE');
    await page.locator('select[name=status]').selectOption('');
    await page.locator('input[name=find]').fill(scene.volumes.files);
    await expect.poll(() => rows.count(), { timeout: PATIENCE_MS }).toBe(2);
    expect(await rows.locator('.what').allInnerTexts()).toEqual([
      'Attach fileserver-disk-1 to this appliance',
      'Create fileserver-disk-1',
    ]);
    await rows.first().locator('summary').click();
    const steps = rows.first().locator('.steps > li[data-state=done]');
    await steps.nth(2).waitFor();
    expect((await steps.locator('.step-label').allInnerTexts()).slice(0, 3)).toEqual([
      'CloudStack attaches',
      'Identify device',
      'NBD export answers',
    ]);
    expect(await shown(steps.first().locator('.step-time'))).toMatch(/^[\d.]+ (ms|s)$/);
    await page.locator('input[name=find]').fill('no such thing');
    await page.locator('#history-empty').waitFor();
    await expectClean(watched);
  });
});

describe('alive', () => {
  it('in a browser whose clock is hours ahead, how long things take and what failed lately is told by the daemon', async () => {
    const watched = await scene.open('about:blank');
    const { page } = watched;
    await page.addInitScript('const now = Date.now; Date.now = () => now() + 7_200_000;');
    const attach = await scene.holdAttach();
    await page.goto(`${scene.walk.daemon.url}/`);
    await page.locator('#verdict-word', { hasNotText: 'Looking' }).waitFor();
    expect(await shown(page.locator('#verdict-reason'))).toContain('failed in the last hour');
    const card = page.locator(`#active-list > [data-operation="${attach.id}"]`);
    await card.locator('.steps > li[data-state=running]', { hasText: 'CloudStack attaches' }).waitFor();
    expect(await shown(card.locator('.elapsed'))).toMatch(/^\d+ s$/);
    expect(await shown(card.locator('.steps > li[data-state=running] .step-time'))).toMatch(/^\d+ s$/);
    scene.release();
    await scene.walk.api.end(attach);
    await scene.walk.detach(scene.volumes.next);
  });

  it('an operation begun elsewhere appears with its steps, survives kill -9 of the daemon, and is seen to end', async () => {
    const watched = await visit();
    const { page } = watched;
    const { next } = scene.volumes;
    const operation = await scene.holdAttach();
    const card = page.locator(`#active-list > [data-operation="${operation.id}"]`);
    await card.locator('.steps > li[data-state=running]', { hasText: 'CloudStack attaches' }).waitFor();
    expect(await card.locator('.steps > li[data-state=ahead] .step-label').allInnerTexts()).toEqual([
      'Identify device',
      'NBD export answers',
    ]);
    await expectClean(watched);
    const resumed = page.waitForRequest((request) => request.headers()['last-event-id'] !== undefined);
    await scene.walk.daemon.kill();
    await connection(page, 'Reconnecting');
    await page.locator('#offline').waitFor();
    expect(await mapRow(page, scene.volumes.database).isVisible(), 'what was known stays').toBe(true);
    await scene.walk.restartDaemon({ port: scene.walk.daemon.port });
    await connection(page, 'Live');
    expect(Number((await resumed).headers()['last-event-id']), 'where it left off').toBeGreaterThan(0);
    await page.locator('#offline').waitFor({ state: 'hidden' });
    await card.waitFor();
    scene.release();
    await page.locator(`#history-list > [data-operation="${operation.id}"][data-status=completed]`).waitFor();
    await card.waitFor({ state: 'detached' });
    await mapRow(page, next).locator('text=migration-vol-').waitFor();
    expect(watched.strayed).toEqual([]);
    expect(await watched.violations()).toEqual([]);
    // What the browser itself logs of requests to a daemon that is away is all there may be.
    expect(watched.errors.filter((text) => !/Failed to load resource|net::ERR_/.test(text))).toEqual([]);
    await scene.walk.detach(next);
    await mapRow(page, next).waitFor({ state: 'detached' });
  });

  it('holds no connection while it is hidden, and then goes on where it was', async () => {
    const watched = await visit();
    const { page } = watched;
    const hide = (hidden: boolean) =>
      page.evaluate(
        `Object.defineProperty(document, 'hidden', { configurable: true, value: ${hidden} });
         document.dispatchEvent(new Event('visibilitychange'))`,
      );
    const isFeed = (request: Request) => request.url().endsWith('/api/v1/events');
    await scene.walk.create('made-while-seen', GIB);
    await page.locator('#history-list', { hasText: 'made-while-seen' }).waitFor();
    const ended = page.waitForEvent('requestfailed', { predicate: isFeed });
    await hide(true);
    await ended;
    const name = 'made-while-hidden';
    await scene.walk.create(name, GIB);
    expect(await shown(page.locator('#history-list'))).not.toContain(name);
    const resumed = page.waitForRequest(isFeed);
    await hide(false);
    expect(Number((await resumed).headers()['last-event-id'])).toBeGreaterThan(0);
    await page.locator('#history-list', { hasText: name }).waitFor();
    await connection(page, 'Live');
    expect(watched.strayed).toEqual([]);
  });

  it('holds no connection when it is opened behind another page, until it is seen', async () => {
    const { page, close } = await scene.open('about:blank');
    const hidden = (value: boolean) =>
      `Object.defineProperty(document, 'hidden', { configurable: true, value: ${value} });`;
    await page.addInitScript(hidden(true));
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.goto(scene.walk.daemon.url, { waitUntil: 'load' });
    expect(asked).not.toContain('/api/v1/events');
    await page.evaluate(`${hidden(false)} document.dispatchEvent(new Event('visibilitychange'))`);
    await connection(page, 'Live');
    await page.locator('#health-list > li').nth(4).waitFor();
    await close();
  });

  const ghosts = async () => {
    const { report } = await scene.walk.api.post<SyncReply>('/api/v1/admin/force-sync');
    return report.drifts.filter(({ kind }) => kind === 'ghost-disk').length;
  };

  it('a drift that a person must decide is shown with what to do', async () => {
    const watched = await visit();
    const { page } = watched;
    await scene.makeGhost();
    // A sync does not judge a disk whose serial has not been read yet.
    await expect.poll(ghosts, { timeout: PATIENCE_MS }).toBe(1);
    const drift = page.locator('#drift-list > li', { hasText: scene.volumes.next });
    await drift.waitFor();
    expect(await shown(drift.locator('h3'))).toMatch(/ghost disk/i);
    expect(await shown(drift.locator('.remedy'))).not.toBe('');
    await page.locator('#verdict-word', { hasText: 'Needs attention' }).waitFor();
    await scene.walk.lab.guest.unplug(scene.volumes.next);
    await expect.poll(ghosts, { timeout: PATIENCE_MS }).toBe(0);
    await drift.waitFor({ state: 'detached' });
    await expectClean(watched);
  });

  it('force sync shows a dry run first, changes nothing by it, and repairs on the second click', async () => {
    const watched = await visit();
    const { page } = watched;
    const { walk, volumes } = scene;
    const mapped = async () => {
      const all = await walk.api.get<{ volume_id: string }[]>('/api/v1/devices');
      return all.some(({ volume_id }) => volume_id === volumes.files);
    };
    const confirm = page.locator('#sync-confirm');
    // The scheduled sync may mend it in between: then once more.
    for (let attempt = 1; ; attempt += 1) {
      await walk.lab.database.query('DELETE FROM migratekit_oma.device_mappings WHERE volume_id = ?', [
        volumes.files,
      ]);
      await page.locator('#sync-open').click();
      await page.locator('#sync-summary', { hasText: /changed|agree/ }).waitFor();
      if (await confirm.isVisible()) break;
      expect(attempt).toBeLessThan(4);
      await page.locator('#sync-close').click();
    }
    expect(await shown(page.locator('#sync-summary'))).toContain('Nothing has been changed.');
    expect(await shown(page.locator('#sync-list > li').first())).toContain(volumes.files);
    expect(await mapped()).toBe(false);
    await confirm.click();
    await page.locator('#sync-title', { hasText: 'Synchronized' }).waitFor();
    expect(await mapped()).toBe(true);
    await page.locator('#sync-close').click();
    await expectClean(watched);
  });
});

describe('for everybody', () => {
  const sizes: [string, BrowserContextOptions][] = [
    ['light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
    ['dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['a phone', { viewport: { width: 360, height: 740 }, colorScheme: 'light', hasTouch: true }],
    ['a phone in the dark', { viewport: { width: 360, height: 740 }, colorScheme: 'dark', hasTouch: true }],
  ];

  it.each(sizes)(
    '%s: nothing serious found by axe, and nothing wider than the screen',
    async (_, options) => {
      const watched = await visit(options);
      const { page } = watched;
      await mapRow(page, scene.volumes.database).waitFor();
      await page.locator('summary').first().click();
      expect(
        await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth'),
      ).toBeLessThanOrEqual(0);
      expect(await seriousFindings(page)).toEqual([]);
      await page.locator('#sync-open').click();
      await page.locator('#sync-summary', { hasText: /changed|agree/ }).waitFor();
      expect(await seriousFindings(page)).toEqual([]);
    },
  );

  it('dark is dark and light is light, as the reader prefers', async () => {
    const { page } = await visit({ colorScheme: 'light' });
    const brightness = async () => {
      const color = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
      return (color.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
    };
    expect(await brightness()).toBeGreaterThan(200);
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await brightness()).toBeLessThan(60);
  });

  it('the keyboard is enough: skip link, force sync, closing it, opening a piece of history', async () => {
    const watched = await visit();
    const { page } = watched;
    const focused = () =>
      page.evaluate<string>(
        'document.activeElement.id || document.activeElement.className || document.activeElement.tagName',
      );
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('skip');
    for (let tabs = 0; tabs < 20 && (await focused()) !== 'sync-open'; tabs += 1)
      await page.keyboard.press('Tab');
    expect(await focused()).toBe('sync-open');
    await page.keyboard.press('Enter');
    await page.locator('#sync-dialog[open]').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#sync-dialog:not([open])').waitFor({ state: 'attached' });
    expect(await focused(), 'where it was before').toBe('sync-open');
    const inHistory = () => page.evaluate<boolean>("document.activeElement.matches('#history-list summary')");
    for (let steps = 0; !(await inHistory()); steps += 1) {
      expect(steps).toBeLessThan(40);
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await page.locator('#history-list > li').first().locator('details[open]').waitFor();
    await expectClean(watched);
  });
});
