import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page, Request } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { digestOf, tokensText } from '~/server/daemon/access/tokens';
import type { SyncReply } from '~/server/http/schemas/service';
import { button, confirm as confirmIn, dialog, submit } from './act-dialog';
import { seriousFindings } from './axe';
import { PATIENCE_MS } from './use-browser';
import { useScene } from './use-scene';

/** What an operator does with the pages: in Debian's Chromium, on the built daemon and real parts. */
const scene = useScene();
const { visit } = scene;

const get = <T>(path: string) => scene.walk.api.get<T>(path);
const start = (id: string) => id.slice(0, 8);
const confirm = (page: Page) => confirmIn(scene, page);

async function changes(page: Page, work: () => Promise<unknown>): Promise<Request[]> {
  const sent: Request[] = [];
  const note = (request: Request) => {
    if (request.method() !== 'GET') sent.push(request);
  };
  page.on('request', note);
  await work();
  page.off('request', note);
  return sent;
}

describe('an operator', { timeout: 180_000 }, () => {
  let volume: string;

  it('creates a volume: zone and offering are those of CloudStack, and the request carries a key', async () => {
    const page = await visit('/');
    await button(page, 'Create a volume…').click();
    await dialog(page).getByLabel('Name').fill('made-on-the-page');
    expect(await dialog(page).getByLabel('Zone').locator('option').first().textContent()).toContain(
      'configured',
    );
    expect(await seriousFindings(page)).toEqual([]);
    expect(await dialog(page).getByLabel('Name').inputValue(), 'typed while it looked').toBe(
      'made-on-the-page',
    );
    await dialog(page).getByLabel('Size in GiB').fill('3');
    let made: OperationReply | undefined;
    const [sent] = await changes(page, async () => {
      made = await confirm(page);
    });
    expect(sent?.headers()['idempotency-key']).toMatch(/^page-[0-9a-f]{32}$/);
    expect(made).toMatchObject({ type: 'create', status: 'completed', response: { size: 3 * 1024 ** 3 } });
    volume = made?.volume_id ?? '';
  });

  it('attaches it from its own page, which then shows device, export and the operations', async () => {
    const page = await visit(`/volumes/${volume}`);
    await page.locator('#volume-title', { hasText: 'made-on-the-page' }).waitFor();
    await button(page, 'Attach…').click();
    await dialog(page).locator('.found', { hasText: 'CloudStack' }).waitFor();
    expect(await confirm(page)).toMatchObject({ type: 'attach', status: 'completed' });
    await page.locator('#export-state', { hasText: 'active' }).waitFor();
    await page.locator('#export-list', { hasText: `migration-vol-${volume}` }).waitFor();
    await page.locator('#history-list > li[data-status=completed]').nth(1).waitFor();
    expect(await page.locator('.witnesses > li').count()).toBe(4);
    await button(page, 'Detach…').waitFor();
    expect(await button(page, 'Attach…').isVisible()).toBe(false);
    expect(await seriousFindings(page)).toEqual([]);
  });

  it('withdraws its export and makes it again, for reading only', async () => {
    const page = await visit(`/volumes/${volume}`);
    await button(page, 'Withdraw export…').click();
    await submit(page).click();
    await dialog(page).locator('.outcome').waitFor();
    await button(page, 'Close').click();
    await page.locator('#export-empty').waitFor();
    await button(page, 'Export…').click();
    await dialog(page).getByLabel('Read-only: nobody can write through it').check();
    await submit(page).click();
    await dialog(page).locator('.outcome', { hasText: 'answers on port' }).waitFor();
    await button(page, 'Close').click();
    await page.locator('#export-list', { hasText: 'read-only' }).waitFor();
    await page.locator('#export-list', { hasText: /Asked by\s*anonymous/ }).waitFor();
  });

  it('is told code, words and remedy when the daemon refuses, and may send it again', async () => {
    const page = await visit('/');
    await button(page, 'Attach a volume…').click();
    const named = dialog(page).getByLabel('The volume: its name');
    await named.fill('no such volume');
    await submit(page).click();
    const problem = dialog(page).locator('.problem');
    await problem.locator('strong', { hasText: 'VOLUME_NOT_VISIBLE' }).waitFor();
    expect(await problem.textContent()).toMatch(/is named "no such volume"/);
    expect(await problem.locator('p').count()).toBeGreaterThanOrEqual(3);
    expect(await submit(page).isEnabled()).toBe(true);
    await named.fill('fileserver-disk-1');
    expect(await confirm(page)).toMatchObject({ type: 'attach', volume_id: scene.volumes.files });
  });

  it('whose answer is lost sends again under the same key: one operation', async () => {
    const page = await visit(`/volumes/${volume}`);
    const path = `/api/v1/volumes/${volume}/detach`;
    await page.route(
      `**${path}`,
      async (route) => {
        await route.fetch();
        await route.abort();
      },
      { times: 1 },
    );
    await button(page, 'Detach…').click();
    let ended: OperationReply | undefined;
    const sent = await changes(page, async () => {
      await submit(page).click();
      await dialog(page).locator('.problem', { hasText: 'same Idempotency-Key' }).waitFor();
      ended = await confirm(page);
    });
    const keys = sent.map((request) => request.headers()['idempotency-key']);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
    expect(ended).toMatchObject({ type: 'detach', status: 'completed' });
    const detaches = await get<OperationReply[]>(`/api/v1/operations?type=detach&volume_id=${volume}`);
    expect(detaches).toHaveLength(1);
  });

  it('deletes only after typing what it is, and what will happen is said', async () => {
    const page = await visit(`/volumes/${volume}`);
    await button(page, 'Delete…').click();
    await dialog(page).locator('.consequences', { hasText: volume }).waitFor();
    await dialog(page).locator('.found', { hasText: 'CloudStack' }).waitFor();
    const typed = dialog(page).getByLabel(/^This cannot be undone/);
    expect(await submit(page).isDisabled()).toBe(true);
    await typed.fill('made-on-the-page');
    expect(await submit(page).isDisabled()).toBe(true);
    await typed.fill(start(volume));
    expect(await seriousFindings(page)).toEqual([]);
    expect(await confirm(page)).toMatchObject({ type: 'delete', status: 'completed' });
    await page.locator('.witnesses > li', { hasText: 'absent' }).first().waitFor();
    await button(page, 'Delete…').waitFor({ state: 'hidden' });
  });

  it('cannot delete while it is not known what would be lost', async () => {
    const page = await visit(`/volumes/${scene.volumes.files}`);
    await page.locator('#volume-title', { hasText: 'fileserver-disk-1' }).waitFor();
    scene.walk.lab.cloud.model.restart({ downFor: 3_600_000 });
    await button(page, 'Delete…').click();
    await dialog(page)
      .getByLabel(/^This cannot be undone/)
      .fill(start(scene.volumes.files));
    await dialog(page).locator('.warn-text', { hasText: 'CloudStack cannot be asked' }).waitFor();
    expect(await submit(page).isDisabled()).toBe(true);
    scene.walk.lab.cloud.model.restart();
    await expect
      .poll(
        async () => {
          await button(page, 'Look again').click();
          await dialog(page).locator('.found li').first().waitFor();
          return submit(page).isEnabled();
        },
        { timeout: PATIENCE_MS },
      )
      .toBe(true);
    await button(page, 'Cancel').click();
  });

  it('cancels what waits behind a running operation, from the page of that operation', async () => {
    const running = await scene.holdAttach();
    const waiting = await scene.walk.api.post<OperationReply>(`/api/v1/volumes/${scene.volumes.next}/detach`);
    const page = await visit(`/operations/${waiting.id}`);
    await page.locator('#operation-title', { hasText: 'Detach' }).waitFor();
    await page.locator('#journal-list > li').first().waitFor();
    await button(page, 'Cancel…').click();
    await submit(page).click();
    await dialog(page).locator('.outcome', { hasText: 'cancelled' }).waitFor();
    await button(page, 'Close').click();
    await page.locator('#operation-state', { hasText: 'cancelled' }).waitFor();
    await page.locator('#journal-list > li', { hasText: 'cancelled' }).waitFor();
    await page.locator('#operation-facts', { hasText: /Cancel asked by\s*anonymous/ }).waitFor();
    await button(page, 'Cancel…').waitFor({ state: 'hidden' });
    expect(await seriousFindings(page)).toEqual([]);
    scene.release();
    await scene.walk.api.end(running);
    await scene.walk.detach(scene.volumes.next);
  });

  it('does the remedy of a drift after a dry run, which finds it again', async () => {
    const { walk, volumes } = scene;
    // CloudStack says attached here, and the guest has lost the disk: detaching and attaching brings it back.
    await walk.lab.guest.unplug(volumes.database);
    const phantoms = async () => {
      const { report } = await walk.api.post<SyncReply>('/api/v1/admin/force-sync');
      return report.drifts.filter(({ kind }) => kind === 'phantom-attach').length;
    };
    await expect.poll(phantoms, { timeout: PATIENCE_MS }).toBe(1);
    const page = await visit('/');
    const drift = page.locator('#drift-list > li', { hasText: volumes.database });
    await drift.getByRole('button', { name: 'Do this remedy…' }).click();
    await dialog(page).locator('.found', { hasText: 'Dry run: it is still so' }).waitFor();
    await submit(page).click();
    await dialog(page).locator('.outcome a').nth(1).waitFor();
    await button(page, 'Close').click();
    const started = await get<OperationReply[]>(`/api/v1/operations?volume_id=${volumes.database}&limit=2`);
    const [attach, detach] = await Promise.all(started.map((operation) => walk.api.end(operation)));
    await expect.poll(phantoms, { timeout: PATIENCE_MS }).toBe(0);
    await drift.waitFor({ state: 'detached' });
    expect([attach, detach]).toMatchObject([
      { type: 'attach', status: 'completed' },
      { type: 'detach', status: 'completed' },
    ]);
  });

  it('finds what it did by a name: the address keeps the question, the server answers it', async () => {
    const page = await visit('/?type=attach');
    const answered = page.waitForResponse(/\/api\/v1\/operations\?.*find=fileserver/);
    await page.getByLabel('Find').fill('fileserver');
    expect((await answered).status()).toBe(200);
    await page.locator('#history-list > li', { hasText: 'fileserver-disk-1' }).first().waitFor();
    expect(page.url()).toMatch(/\/\?type=attach&find=fileserver$/);
    await page.reload();
    await page.locator('#history-list > li', { hasText: 'Attach fileserver-disk-1' }).first().waitFor();
    expect(await page.getByLabel('Find').inputValue()).toBe('fileserver');
    expect(await page.getByLabel('Type').inputValue()).toBe('attach');
  });
});

describe('a token', { timeout: 180_000 }, () => {
  const createdAt = '2026-01-15T12:00:00.000Z';
  const named = (role: 'read' | 'operate') => ({
    name: `the-${role}`,
    role,
    sha256: digestOf(role),
    createdAt,
  });

  async function enter(page: Page, token: string): Promise<void> {
    await page.locator('#token').fill(token);
    await page.keyboard.press('Enter');
    await page.locator('#connection', { hasText: 'Live' }).waitFor();
    await page.locator('#caller', { hasText: `the-${token}` }).waitFor();
  }

  it('that may only read sees no button and is told so; one that may operate acts under its name', async () => {
    const { walk, volumes } = scene;
    const tokensFile = join(walk.lab.dir, 'tokens.json');
    await writeFile(tokensFile, tokensText([named('read'), named('operate')]));
    await walk.daemon.stop();
    await walk.restartDaemon({ env: { TOKENS_FILE: tokensFile } });
    const looking = await scene.open(`/volumes/${volumes.files}`);
    await enter(looking.page, 'read');
    await looking.page.locator('#caller', { hasText: 'may look, and change nothing' }).waitFor();
    await looking.page.locator('.witnesses > li').nth(3).waitFor();
    expect(await looking.page.locator('#volume-acts button:visible').count()).toBe(0);
    const acting = await scene.open(`/volumes/${volumes.files}`);
    await enter(acting.page, 'operate');
    await button(acting.page, 'Detach…').click();
    const answered = acting.page.waitForResponse((response) => response.request().method() === 'POST');
    await submit(acting.page).click();
    const accepted: OperationReply = await (await answered).json();
    expect(accepted).toMatchObject({ type: 'detach', actor: 'the-operate' });
    await looking.page.locator('#history-list > li', { hasText: 'Detach' }).first().waitFor();
  });
});
