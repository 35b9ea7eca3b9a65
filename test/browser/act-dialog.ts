import type { Page } from 'playwright-core';
import type { OperationReply } from '~/lab/client';
import type { Scene } from './scene';

export const dialog = (page: Page) => page.locator('#act-dialog');
export const submit = (page: Page) => dialog(page).locator('button[type=submit]');
export const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

/** Presses what confirms, and gives the operation that the daemon has accepted, once it has ended. */
export async function confirm({ walk }: Pick<Scene, 'walk'>, page: Page): Promise<OperationReply> {
  await submit(page).click();
  const link = dialog(page).locator('.outcome a').first();
  const id = (await link.getAttribute('href'))?.replace('/operations/', '');
  await button(page, 'Close').click();
  await dialog(page).waitFor({ state: 'detached' });
  return walk.api.end(await walk.api.get<OperationReply>(`/api/v1/operations/${id}`));
}
