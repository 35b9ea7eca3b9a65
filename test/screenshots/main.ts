import { copyFile, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import type { OperationReply } from '~/lab/client';
import { programOptions } from '~/lab/program-options';
import type { SyncReply } from '~/server/http/schemas/service';
import { openPage, startBrowser, type WatchedPage } from '../browser/browser';
import { type Scene, setScene } from '../browser/scene';
import { Walk } from '../integration/daemon/walk';

const HELP = `npm run screenshots -- [--out FOLDER] [--docs]

Pictures of the pages in every state, on the built daemon and real parts: on a screen, in the dark and on a phone.

  --out FOLDER   where to (default: build/screenshots)
  --docs         also make the pictures of docs/images anew
`;

const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const PATIENCE_MS = 60_000;
const OPERATIONS = 500;
/** CloudStack does not finish a job within this time, ms. */
const HELD_MS = 3_600_000;

const LOOKS: readonly (readonly [name: string, options: BrowserContextOptions])[] = [
  ['desktop', { viewport: { width: 1280, height: 860 }, colorScheme: 'light' }],
  ['dark', { viewport: { width: 1280, height: 860 }, colorScheme: 'dark' }],
  ['phone', { viewport: { width: 390, height: 844 }, colorScheme: 'light' }],
];

/** The looks of the pictures that the documents show, all of the state `busy`. */
const DOCUMENTED: Readonly<Record<string, string>> = {
  desktop: 'dashboard-light',
  dark: 'dashboard-dark',
  phone: 'dashboard-phone',
};

type Opened = readonly (readonly [look: string, watched: WatchedPage])[];
type Ready = (page: Page) => Promise<unknown>;

const { out, docs } = programOptions(HELP, {
  out: { type: 'string', default: 'build/screenshots' },
  docs: { type: 'boolean', default: false },
});

/** Opens a page in every look. */
function open(browser: Browser, url: string): Promise<Opened> {
  return Promise.all(
    LOOKS.map(async ([look, options]) => {
      const watched = await openPage(browser, url, options);
      watched.page.setDefaultTimeout(PATIENCE_MS);
      return [look, watched] as const;
    }),
  );
}

/** Takes a picture of each once it is ready, and closes it. */
async function take(state: string, opened: Opened, ready: Ready): Promise<void> {
  for (const [look, { page, close }] of opened) {
    await ready(page);
    const path = join(out, `${state}-${look}.png`);
    await page.screenshot({ path, fullPage: true });
    if (docs && state === 'busy') await page.screenshot({ path: join(IMAGES, `${DOCUMENTED[look]}.png`) });
    if (docs && state === 'volume' && look === 'desktop') await copyFile(path, join(IMAGES, 'volume.png'));
    process.stdout.write(`${resolve(path)}\n`);
    await close();
  }
}

const verdict =
  (word: string): Ready =>
  (page) =>
    page.locator('#verdict-word', { hasText: word }).waitFor();
const shown =
  (...selectors: string[]): Ready =>
  (page) =>
    Promise.all(selectors.map((selector) => page.locator(selector).first().waitFor()));

async function nothing(browser: Browser): Promise<void> {
  const walk = await Walk.begin();
  try {
    await take('nothing', await open(browser, walk.daemon.url), verdict('Everything is in order'));
  } finally {
    await walk.close();
  }
}

async function many(browser: Browser): Promise<void> {
  const walk = await Walk.begin();
  try {
    walk.lab.cloud.model.latencies.create = { accept: 0, job: HELD_MS };
    for (let n = 0; n < OPERATIONS; n += 1)
      await walk.api.post('/api/v1/volumes', walk.createBody(`disk-${n}`));
    await take('500-operations', await open(browser, walk.daemon.url), shown('#active-list > li'));
  } finally {
    await walk.close();
  }
}

/** One appliance, to which one thing after the other happens. */
async function events(browser: Browser): Promise<void> {
  const scene = await setScene();
  const { walk, volumes } = scene;
  const here = (path = '/') => open(browser, `${walk.daemon.url}${path}`);
  try {
    const [failed] = await walk.api.get<{ id: string }[]>('/api/v1/operations?status=failed');
    await take('failure', await here('/?status=failed'), shown('#history-list > li[data-status=failed]'));
    await take('failed-operation', await here(`/operations/${failed?.id}`), shown('#journal-list > li'));
    await busy(scene, here);
    await scene.makeGhost();
    // A sync does not judge a disk whose serial has not been read yet.
    while ((await force(walk)) === 0);
    await take('drift', await here(), shown('#drift-list > li', '#device-list > li', '#history-list > li'));
    await take('volumes', await here('/volumes'), shown('#volumes-list > li'));
    const snapshots = `/api/v1/volumes/${volumes.database}/snapshots`;
    await walk.api.end(await walk.api.post<OperationReply>(snapshots, { name: 'before-cutover' }));
    await take(
      'volume',
      await here(`/volumes/${volumes.database}`),
      shown('.witnesses > li', '#snapshot-list > li'),
    );
    walk.lab.cloud.model.restart({ downFor: HELD_MS });
    await force(walk);
    await take('cloudstack-away', await here(), shown('#drift-stale:not([hidden])'));
    walk.lab.cloud.model.restart();
    const before = await here();
    for (const [, { page }] of before) await shown('#device-list > li')(page);
    await walk.lab.database.kill();
    await take('database-away-opened-before', before, shown('#device-stale:not([hidden])'));
    await take('database-away-opened-after', await here(), shown('#device-stale:not([hidden])'));
  } finally {
    await scene.close();
  }
}

async function busy(scene: Scene, here: () => Promise<Opened>): Promise<void> {
  const attach = await scene.holdAttach();
  await take('busy', await here(), shown('#active-list > li', '#device-list > li', '#history-list > li'));
  scene.release();
  await scene.walk.api.end(attach);
  await scene.walk.detach(scene.volumes.next);
}

/** The drifts that a sync finds. */
async function force(walk: Walk): Promise<number> {
  const { report } = await walk.api.post<SyncReply>('/api/v1/admin/force-sync');
  return report.drifts.length;
}

await mkdir(out, { recursive: true });
const browser = await startBrowser();
try {
  for (const state of [nothing, events, many]) await state(browser);
} finally {
  await browser.close();
}
