import { GIB, must, type Report, SECOND_MS } from './scene';

/** What was taken for proof and is none: likeness, absence, one answer, one read. */
export const PROOF: readonly Report[] = [
  {
    id: 'A1',
    title:
      'a create whose call is lost takes the volume of another tenant with its name, and a delete removes it',
    run: async (scene) => {
      scene.model.faults.add({ command: 'createVolume', kind: 'fail-before-effect' });
      const operation = await scene.begin('POST', '/api/v1/volumes', scene.walk.createBody('db01'));
      await scene.untilStruck('fail-before-effect');
      const foreign = scene.volume('db01', { size: GIB }, 'other');
      const made = await scene.end(operation);
      must(made.volume_id !== foreign.id, 'the volume of another account was taken for the new one');
      if (made.status === 'completed') await scene.remove(made.volume_id);
      must(scene.alive(foreign), 'the volume of another account was deleted');
    },
  },
  {
    id: 'A2',
    title: 'a live volume that the key does not see counts as deleted',
    run: async (scene) => {
      const volume = await scene.attached('hidden');
      scene.hide(volume.id);
      const removed = await scene.remove(volume.id, 90 * SECOND_MS);
      must(removed.status === 'failed', `the delete ended as ${removed.status}`);
      must(await scene.mapped(volume.id), 'its mapping is gone');
    },
  },
  {
    id: 'A3',
    title: 'a detach of a volume that the key does not see takes its mapping away',
    run: async (scene) => {
      const volume = await scene.attached('hidden');
      scene.hide(volume.id);
      const detached = await scene.detach(volume.id, 90 * SECOND_MS);
      must(detached.status === 'failed', `the detach ended as ${detached.status}`);
      must(await scene.mapped(volume.id), 'its mapping is gone');
    },
  },
  {
    id: 'A4',
    title:
      'a sync that is shown none of our volumes removes their mappings or exports, or advises to pull the disks',
    run: async (scene) => {
      const volumes = [await scene.attached('one'), await scene.attached('two')];
      for (const { id } of volumes) scene.hide(id);
      const { text } = await scene.sync();
      must(!/virsh detach-disk/.test(text), 'it advises to pull a disk');
      for (const { id } of volumes) {
        must(await scene.mapped(id), 'a mapping is gone');
        must(await scene.exported(id), 'an export is gone');
      }
    },
  },
  {
    id: 'A5',
    title: 'one answer "no such job" for an accepted job: the call is sent again',
    options: {
      cloud: { latencies: { attach: { accept: 0, job: 4 * SECOND_MS } } },
      env: { JOB_LOST_AFTER: '30s' },
    },
    run: async (scene) => {
      const id = await scene.walk.create('denied');
      scene.model.faults.add({ command: 'queryAsyncJobResult', kind: 'unknown-job' });
      const ended = await scene.attach(id);
      must(scene.calls('attachVolume') === 1, `attachVolume was sent ${scene.calls('attachVolume')} times`);
      must(ended.status === 'completed', `the attach ${ended.status}: ${ended.error}`);
    },
  },
  {
    id: 'A6',
    title: 'the first read after a finished attach is old: the volume stays attached and unmapped',
    run: async (scene) => {
      const id = await scene.walk.create('stale');
      scene.model.faults.add({ command: 'attachVolume', kind: 'stale-read', ms: 5 * SECOND_MS });
      const ended = await scene.attach(id);
      must(ended.status === 'completed', `the attach ${ended.status}: ${ended.error}`);
      must(await scene.mapped(id), 'it is not mapped');
    },
  },
  {
    id: 'A7',
    title: 'a sync that cannot read CloudStack says that nothing differs, and health turns healthy',
    run: async (scene) => {
      const volume = await scene.attached('phantom');
      await scene.walk.lab.guest.surpriseUnplug(volume.id);
      const seen = await scene.until(
        async () => (await scene.sync()).text.includes(volume.id),
        90 * SECOND_MS,
      );
      must(seen, 'the missing disk was never reported');
      scene.model.restart({ downFor: 600 * SECOND_MS });
      await scene.sync();
      const { body } = await scene.call('GET', '/api/v1/health');
      must(body.status !== 'healthy', 'health is healthy');
    },
  },
  {
    id: 'A8',
    title: 'one 401 ends an operation that CloudStack has accepted',
    options: { cloud: { latencies: { attach: { accept: 0, job: 2 * SECOND_MS } } } },
    run: async (scene) => {
      const id = await scene.walk.create('once refused');
      const operation = await scene.begin('POST', `/api/v1/volumes/${id}/attach`, { vm_id: scene.here });
      await scene.until(() => scene.calls('attachVolume') === 1, 10 * SECOND_MS);
      scene.model.faults.add({ command: 'queryAsyncJobResult', kind: 'status', code: 401 });
      const ended = await scene.end(operation);
      must(ended.status === 'completed', `the attach ${ended.status}: ${ended.error}`);
    },
  },
  {
    id: 'A9',
    title:
      'every key is refused for some seconds (a clock, a database of CloudStack): operations fail for good',
    run: async (scene) => {
      const ids = [await scene.walk.create('a'), await scene.walk.create('b')];
      scene.model.conditions.add({ kind: 'database-away', ms: 8 * SECOND_MS });
      const operations = await Promise.all(
        ids.map((id) => scene.begin('POST', `/api/v1/volumes/${id}/attach`, { vm_id: scene.here })),
      );
      for (const operation of operations) {
        const ended = await scene.end(operation, 60 * SECOND_MS);
        must(ended.status === 'completed', `an attach ${ended.status}: ${ended.error}`);
      }
    },
  },
];
