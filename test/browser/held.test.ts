import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { Walk } from '../integration/daemon/walk';
import { PATIENCE_MS, useBrowser } from './use-browser';

const browser = useBrowser();
let walk: Walk;

beforeAll(async () => {
  walk = await Walk.begin({ env: { NBD_BACKEND: 'none' } });
});
afterAll(() => walk?.close());

/** An attach whose journal has an entry of another version: nobody runs it before a person has decided. */
async function holdAttach(): Promise<string> {
  const { faults } = walk.lab.cloud.model;
  const volume = await walk.create('spoilt');
  faults.add({ command: 'attachVolume', kind: 'fail-before-effect', times: 1_000_000 });
  const { id } = await walk.api.post<OperationReply>(`/api/v1/volumes/${volume}/attach`, {
    vm_id: walk.appliance,
  });
  const waits = async () =>
    (await walk.api.get<{ wait_reason?: string }>(`/api/v1/operations/${id}`)).wait_reason;
  await expect.poll(waits, { timeout: PATIENCE_MS }).toBeTruthy();
  await walk.daemon.stop();
  faults.clear();
  await walk.lab.database.query(
    `UPDATE migratekit_oma.volume_operation_steps SET step = 'teleport'
      WHERE step = 'operation' AND state = 'executing' AND operation_id = ?`,
    [id],
  );
  await walk.restartDaemon();
  return id;
}

it('a held operation comes first with its reason; retried it is held again; abandoned, once its id is typed, it has failed', async () => {
  const held = await holdAttach();
  const { page, errors } = await browser.open(`${walk.daemon.url}/`);
  const card = page.locator('#active-list > li').first();
  await card.locator('.pill', { hasText: 'held' }).waitFor();
  await card.locator('.reason', { hasText: 'its step "teleport" is not known' }).waitFor();
  await page
    .locator('#verdict-reason', { hasText: '1 operation held until somebody retries or abandons.' })
    .waitFor();
  const dialog = page.locator('#act-dialog');
  const submit = dialog.locator('button[type=submit]');
  await card.getByRole('button', { name: 'Retry…' }).click();
  await submit.click();
  await dialog.locator('.outcome').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await card.locator('.pill', { hasText: 'held' }).waitFor();
  await card.locator('.title-link').click();
  await page.locator('#operation-problem', { hasText: 'Held: ' }).waitFor();
  await page.locator('#journal-list', { hasText: 'not understood' }).waitFor();
  await page.getByRole('button', { name: 'Abandon…' }).click();
  expect(await submit.isDisabled()).toBe(true);
  await dialog.getByLabel(/^This cannot be undone/).fill(held.slice(0, 8));
  await submit.click();
  await dialog.locator('.outcome', { hasText: 'failed' }).waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await page.locator('#operation-state', { hasText: 'failed' }).waitFor();
  await page.locator('#operation-problem', { hasText: 'OPERATION_ABANDONED' }).waitFor();
  expect(errors).toEqual([]);
}, 180_000);
