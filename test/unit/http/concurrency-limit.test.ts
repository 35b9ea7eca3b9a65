import { expect, it, vi } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

const app = useHttpApp();

/** Holds every call of `name` until it is released. */
function hold<K extends string>(api: Record<K, (...args: never[]) => Promise<unknown>>, name: K) {
  const waiting: (() => void)[] = [];
  const real = api[name];
  api[name] = (...args) => new Promise((resolve) => waiting.push(() => resolve(real(...args))));
  return { waiting, release: () => waiting.splice(0).map((let_) => let_()) };
}

it.each([
  ['POST', '/api/v1/exports/validate', 'VALIDATIONS_AT_ONCE', () => hold(app.daemon.exports, 'validate')],
  [
    'GET',
    `/api/v1/volumes/${VOLUME}`,
    'CLOUDSTACK_READS_AT_ONCE',
    () => hold(app.daemon.volumes, 'describe'),
  ],
] as const)(
  '%s %s: a limited number at a time, others get 429 with Retry-After until one has finished',
  async (method, path, bound, holding) => {
    const held = holding();
    const inside = Array.from({ length: LIMITS[bound] }, () => app.send(method, path));
    await vi.waitFor(() => expect(held.waiting).toHaveLength(LIMITS[bound]), { timeout: 20_000 });
    const refused = await app.send(method, path);
    expect([refused.status, refused.json]).toMatchObject([429, { code: 'RATE_LIMITED' }]);
    expect(refused.headers['retry-after']).toBe('1');
    expect((await app.get('/api/v1/devices')).status, 'other endpoints are not affected').toBe(200);
    held.release();
    expect((await Promise.all(inside)).map(({ status }) => status)).toEqual(inside.map(() => 200));
    const again = app.send(method, path);
    await expect.poll(() => held.waiting).toHaveLength(1);
    held.release();
    expect((await again).status).toBe(200);
  },
);

it('a request that fails frees its slot', async () => {
  app.daemon.failure = new Error('broken');
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  for (let times = 0; times <= LIMITS.SYNCS_AT_ONCE; times += 1)
    expect((await app.post('/api/v1/admin/force-sync')).status).toBe(500);
  written.mockRestore();
});
