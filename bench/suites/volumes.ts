import { atMost, type Suite } from '../bench';
import { existingVolume, pause, withLab } from '../lab';
import { times } from '../measure';
import { addMappings, addOperations } from '../rows';

const VOLUMES = 10_000;
/** ms within which the first sync has certainly ended. */
const SYNC = 15_000;

export const volumes: Suite = {
  name: 'volumes',
  about: 'the list of 10,000 volumes with 10 k mappings and 100 k operations: pages, filters, 304, names',
  run: (bench) =>
    withLab({ env: { RECONCILE_INTERVAL: '10m' } }, async (lab) => {
      const first = await lab.startDaemon();
      await first.stop();
      const count = bench.quick ? 1_000 : VOLUMES;
      bench.progress(`${count} volumes with mappings and operations`);
      const made = Array.from({ length: count }, (_, n) => existingVolume(lab, `disk-${n}`));
      await addMappings(lab, lab.cloud.model.addVm({ name: 'migrated' }).id, made);
      await addOperations(lab, { from: 0, to: bench.quick ? 1_000 : 100_000 });
      const daemon = await lab.startDaemon();
      const list = `${daemon.url}/api/v1/volumes`;
      const { text } = await firstPage(list);
      const n = bench.quick ? 50 : 500;
      const time = async (what: string, path: string, goalMs: number | null, status = 200) => {
        const { etag } = await page(`${list}${path}`);
        const ask = async () => {
          const answer = await page(`${list}${path}`, status === 304 ? etag : undefined);
          if (answer.status !== status)
            throw new Error(`${what}: ${answer.status} instead of ${status}: ${answer.text.slice(0, 500)}`);
        };
        await times(20, 1, ask);
        bench.addTimes(
          `${what}, ${count} volumes`,
          (await times(n, 1, ask)).samples,
          goalMs === null ? null : atMost(goalMs),
        );
      };
      // Once a minute, and after the start, everything is read and compared: it lasts as long as these
      // requests.
      await time('GET volumes, first page, beside the first sync', '', null);
      await pause(SYNC);
      await time('GET volumes, first page', '', 50);
      await time('GET volumes, first page, not changed', '', 50, 304);
      await time('GET volumes, a page in the middle', `?cursor=80000000-0000-4000-8000-000000000000`, 50);
      await time('GET volumes, a name that few have', '?name=disk-99', 50);
      await time('GET volumes, a name that nobody has', '?name=nobody', 50);
      await time('GET volumes, 1000 a page', '?limit=1000', 200);
      await time('GET volumes/resolve by name', `/resolve?ref=disk-7`, 200);
      bench.add('first page', Buffer.byteLength(text) / 1024, 'KiB');
      await daemon.stop();
    }),
};

/** Until the first look at all volumes is over there is nothing to measure. */
async function firstPage(url: string) {
  let answer = await page(url);
  while (answer.status !== 200) {
    await pause(1_000);
    answer = await page(url);
  }
  return answer;
}

async function page(url: string, etag?: string) {
  const answer = await fetch(url, { headers: etag === undefined ? {} : { 'if-none-match': etag } });
  const text = await answer.text();
  return { status: answer.status, etag: answer.headers.get('etag') ?? '', text };
}
