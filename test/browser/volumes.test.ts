import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import type { SnapshotReply } from '~/server/http/schemas/volumes';
import { button, confirm, dialog, submit } from './act-dialog';
import { seriousFindings } from './axe';
import { HOSTILE_NAME } from './scene';
import { PATIENCE_MS } from './use-browser';
import { useScene } from './use-scene';

/**
 * The list of all volumes, and what changes size and content of one: the built daemon in Debian's Chromium.
 */
const GIB = 1024 ** 3;
const scene = useScene();
const { visit } = scene;

const start = (id: string) => id.slice(0, 8);
const snapshotsOf = (volume: string) =>
  scene.walk.api.get<SnapshotReply[]>(`/api/v1/volumes/${volume}/snapshots`);

describe('size and content of a volume', { timeout: 180_000 }, () => {
  it('grows: never less than one GiB more than it has, and its page shows the new size', async () => {
    const { files } = scene.volumes;
    const page = await visit(`/volumes/${files}`);
    await button(page, 'Resize…').click();
    const size = dialog(page).getByLabel('New size in GiB');
    await size.waitFor();
    expect([await size.inputValue(), await size.getAttribute('min')]).toEqual(['251', '251']);
    await dialog(page).locator('.consequences', { hasText: 'cannot be made smaller' }).waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    await size.fill('260');
    expect(await confirm(scene, page)).toMatchObject({ type: 'resize', status: 'completed' });
    await page.locator('.witnesses > li', { hasText: '260 GiB' }).first().waitFor();
    await page.locator('#history-list > li', { hasText: 'Resize' }).first().waitFor();
  });

  it('is snapshotted in use: the snapshot is listed with its state and size', async () => {
    const { database } = scene.volumes;
    const page = await visit(`/volumes/${database}`);
    await page.locator('#snapshot-empty').waitFor();
    await button(page, 'Take a snapshot…').click();
    await dialog(page)
      .getByLabel(/^What its name begins with/)
      .fill('before-cutover');
    expect(await confirm(scene, page)).toMatchObject({ type: 'snapshot', status: 'completed' });
    // The page may still show how it stood while it was made: what counts is that it follows.
    const row = page
      .locator('#snapshot-list > li', { hasText: 'before-cutover' })
      .filter({ hasText: 'BackedUp' });
    await row.waitFor();
    expect(await row.textContent()).toContain('40 GiB · ');
    expect(await page.locator('#snapshot-count').textContent()).toBe('1');
    expect(await seriousFindings(page)).toEqual([]);
  });

  it('is snapshotted with the others of its VM: those that are chosen, all or none', async () => {
    const { database, files, hostile } = scene.volumes;
    const page = await visit(`/volumes/${files}`);
    await button(page, 'Take snapshots of its VM…').click();
    await dialog(page)
      .locator('.consequences', { hasText: 'the snapshots of the others are deleted' })
      .waitFor();
    const choice = (name: string | RegExp) => dialog(page).getByRole('checkbox', { name });
    await choice(/^fileserver-disk-1 · /).waitFor();
    expect(await choice(/^erp-db-disk-0 · /).isChecked()).toBe(true);
    expect(await choice(/ROOT$/).isChecked(), 'its own disk only when it is chosen').toBe(false);
    expect(await seriousFindings(page)).toEqual([]);
    await choice(/onerror/).uncheck();
    await dialog(page)
      .getByLabel(/^What their names begin with/)
      .fill('before-failover');
    const ended = await confirm(scene, page);
    expect(ended).toMatchObject({ type: 'snapshot-group', status: 'completed' });
    for (const [volume, count] of [
      [database, 2],
      [files, 1],
      [hostile, 0],
    ] as const)
      expect(await snapshotsOf(volume), volume).toHaveLength(count);
    const [made] = await snapshotsOf(files);
    await page.locator('#snapshot-list > li', { hasText: made?.name ?? '' }).waitFor();
    const [of] = (await snapshotsOf(database)).filter(({ name }) => name.startsWith('before-failover'));
    await scene.walk.api.end(await scene.walk.api.delete<OperationReply>(`/api/v1/snapshots/${of?.id}`));
  });

  it('cannot be reverted while this guest has its disk; detached, only after typing what it is', async () => {
    const { database } = scene.volumes;
    const page = await visit(`/volumes/${database}`);
    const row = page.locator('#snapshot-list > li').first();
    const revert = row.getByRole('button', { name: 'Revert to it…' });
    await revert.click();
    await dialog(page).locator('.warn-text', { hasText: 'detach the volume first' }).waitFor();
    await dialog(page)
      .getByLabel(/^This cannot be undone/)
      .fill(start(database));
    expect(await submit(page).isDisabled()).toBe(true);
    await button(page, 'Cancel').click();
    await scene.walk.detach(database);
    await revert.click();
    await dialog(page)
      .locator('.consequences', { hasText: 'Everything that was written since is lost' })
      .waitFor();
    await dialog(page).locator('.found', { hasText: 'BackedUp' }).waitFor();
    expect(await submit(page).isDisabled()).toBe(true);
    await dialog(page)
      .getByLabel(/^This cannot be undone/)
      .fill(start(database));
    expect(await seriousFindings(page)).toEqual([]);
    expect(await confirm(scene, page)).toMatchObject({ type: 'revert', status: 'completed' });
    await scene.walk.attach(database);
  });

  it('loses a snapshot only after typing which; a snapshot that is gone meanwhile cannot be deleted', async () => {
    const { database } = scene.volumes;
    const [snapshot] = await snapshotsOf(database);
    const id = snapshot?.id ?? '';
    const page = await visit(`/volumes/${database}`);
    const late = await visit(`/volumes/${database}`);
    const remove = (of: Page) =>
      of.locator('#snapshot-list').getByRole('button', { name: 'Delete snapshot…' });
    await remove(late).waitFor();
    await remove(page).click();
    await dialog(page).locator('.consequences', { hasText: id }).waitFor();
    const typed = dialog(page).getByLabel(/^This cannot be undone/);
    await typed.fill(start(database));
    expect(await submit(page).isDisabled(), 'that is the volume').toBe(true);
    await typed.fill(start(id));
    // The other page is open with what was: it looks again before it offers anything.
    await late.route('**/snapshots', (route) => route.fulfill({ json: [] }));
    await remove(late).click();
    await dialog(late).locator('.warn-text', { hasText: 'does not show this snapshot' }).waitFor();
    await dialog(late)
      .getByLabel(/^This cannot be undone/)
      .fill(start(id));
    expect(await submit(late).isDisabled()).toBe(true);
    expect(await confirm(scene, page)).toMatchObject({ type: 'delete-snapshot', status: 'completed' });
    await page.locator('#snapshot-empty').waitFor();
    expect(await snapshotsOf(database)).toEqual([]);
  });
});

describe('a volume in the trash of CloudStack', { timeout: 180_000 }, () => {
  it('is brought back from its page, which says what will happen', async () => {
    const { cloud } = scene.walk.lab;
    const id = await scene.walk.create('deleted-by-mistake', 2 * GIB);
    const page = await visit(`/volumes/${id}`);
    await button(page, 'Attach…').waitFor();
    expect(await button(page, 'Recover…').isVisible()).toBe(false);
    // As a delete with DELETE_MODE=trash leaves it.
    const volume = cloud.model.volumes.find((one) => one.id === id);
    if (volume) volume.state = 'Destroy';
    await page.reload();
    await button(page, 'Recover…').click();
    await dialog(page).locator('.consequences', { hasText: 'out of its trash' }).waitFor();
    await dialog(page).locator('.found', { hasText: 'CloudStack' }).waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    expect(await confirm(scene, page)).toMatchObject({ type: 'recover', status: 'completed' });
    await button(page, 'Recover…').waitFor({ state: 'hidden' });
    await page.locator('.witnesses > li', { hasText: 'Ready' }).first().waitFor();
  });
});

describe('the list of volumes', { timeout: 180_000 }, () => {
  const rows = (page: Page) => page.locator('#volumes-list > li');
  const row = (page: Page, volume: string) => page.locator(`#volumes-list > [data-volume="${volume}"]`);

  it('is reached from the first page and shows each with its place, device, export and last operation', async () => {
    const { database, elsewhere, hostile } = scene.volumes;
    const page = await visit('/');
    await page.getByRole('link', { name: 'All volumes' }).click();
    await row(page, database).waitFor();
    expect(await row(page, database).textContent()).toMatch(
      /erp-db-disk-0[\s\S]*Ready[\s\S]*40 GiB · attached to this appliance · .*vd[a-z]+, verified[\s\S]*Export migration-vol-\S+: active/,
    );
    expect(await row(page, elsewhere).textContent()).toMatch(/attached to migrated-vm[\s\S]*Attach: failed/);
    expect(await row(page, hostile).locator('.subject').textContent()).toBe(HOSTILE_NAME);
    expect(await seriousFindings(page)).toEqual([]);
    await row(page, database).getByRole('link', { name: 'erp-db-disk-0' }).click();
    await page.waitForURL(`**/volumes/${database}`);
  });

  it('is filtered by the server, and the address keeps the question', async () => {
    const { files } = scene.volumes;
    const page = await visit('/volumes');
    await rows(page).nth(3).waitFor();
    const answered = page.waitForResponse(/\/api\/v1\/volumes\?name=fileserver&attached=true&limit=/);
    await page.getByLabel('Attached').selectOption('true');
    await page.getByLabel('Name').fill('fileserver');
    expect((await answered).status()).toBe(200);
    await expect.poll(() => rows(page).count(), { timeout: PATIENCE_MS }).toBe(1);
    expect(page.url()).toMatch(/\/volumes\?name=fileserver&attached=true$/);
    await page.reload();
    await row(page, files).waitFor();
    expect(await page.getByLabel('Name').inputValue()).toBe('fileserver');
    await page.getByLabel('Name').fill('no such volume');
    await page.locator('#volumes-empty').waitFor();
  });

  it('goes on page by page: none twice, none left out', async () => {
    const { inventory } = scene.walk.lab.cloud.model;
    const zoneId = inventory.firstZone().id;
    for (let index = 0; index < 52; index += 1)
      inventory.addVolume({ name: `many-${index}`, size: GIB, zoneId, diskOfferingId: null });
    await scene.walk.api.post('/api/v1/admin/force-sync');
    const page = await visit('/volumes?name=many-');
    const seen: string[] = [];
    const note = async (count: number) => {
      await expect.poll(() => rows(page).count(), { timeout: PATIENCE_MS }).toBe(count);
      for (const one of await rows(page).all()) seen.push((await one.getAttribute('data-volume')) ?? '');
    };
    await note(50);
    await page.getByRole('link', { name: 'Next page' }).click();
    await page.waitForURL(/cursor=/);
    await note(2);
    expect(new Set(seen).size).toBe(52);
    expect(await page.getByRole('link', { name: 'Next page' }).isVisible()).toBe(false);
    await page.getByRole('link', { name: 'First page' }).click();
    await note(50);
  });

  it('says since when it is not known while CloudStack is away, and an empty answer is not called empty', async () => {
    scene.walk.lab.cloud.model.restart({ downFor: 3_600_000 });
    const page = await visit('/volumes?name=fileserver');
    await rows(page).first().waitFor();
    await scene.walk.api.post('/api/v1/admin/force-sync');
    await page.reload();
    await page.locator('#volumes-stale', { hasText: 'Not known since' }).waitFor();
    expect(await rows(page).count()).toBe(1);
    await page.getByLabel('Name').fill('no such volume');
    await expect.poll(() => rows(page).count(), { timeout: PATIENCE_MS }).toBe(0);
    expect(await page.locator('#volumes-empty').isVisible()).toBe(false);
    scene.walk.lab.cloud.model.restart();
    const ended = await scene.walk.api.get<OperationReply[]>('/api/v1/operations?status=executing');
    expect(ended).toEqual([]);
  });
});
