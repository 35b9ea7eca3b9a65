import { must, type Report, SECOND_MS } from './scene';

/** End states, waits and words. */
export const ENDS: readonly Report[] = [
  {
    id: 'C1',
    title: 'attachVolume alone fails: two submits a second, and no cancel',
    run: async (scene) => {
      const id = await scene.walk.create('refused');
      scene.model.faults.add({ command: 'attachVolume', kind: 'status', code: 503, times: 10_000 });
      const operation = await scene.begin('POST', `/api/v1/volumes/${id}/attach`, { vm_id: scene.here });
      await scene.pass(30 * SECOND_MS);
      const submits = scene.model.faults.struck.status ?? 0;
      must(submits <= 12, `${submits} submits in 30 s`);
      const cancelled = await scene.call('POST', `/api/v1/operations/${operation}/cancel`);
      must(cancelled.status < 300, `the cancel is refused: ${cancelled.text}`);
      // The last submit may have been taken, whatever its answer was, until its job has not shown for
      // JOB_LOST_AFTER (30 s).
      must((await scene.end(operation, 45 * SECOND_MS)).status === 'cancelled', 'it is not cancelled');
      // The stream of the journal ends with the operation.
      const events = (await scene.call('GET', `/api/v1/operations/${operation}/events`)).text;
      const waits = events.split('"waiting"').length - 1;
      must(waits <= 20, `${waits} rows of waiting in the journal`);
    },
  },
  ...['UploadError', 'UploadAbandoned', 'NotUploaded'].map((state, index) => ({
    id: `C2${'abc'[index]}`,
    title: `a volume in state ${state} is waited for, and cannot be deleted`,
    run: async (scene: Parameters<Report['run']>[0]) => {
      const volume = scene.volume('upload', { state });
      const removed = await scene.remove(volume.id);
      must(
        removed.status === 'completed',
        `the delete ${removed.status}: ${removed.wait_reason ?? removed.error}`,
      );
      must(!scene.alive(volume), 'the volume is still there');
    },
  })),
  {
    id: 'C2d',
    title: 'an attach of a volume in state Destroy waits for 30 minutes',
    run: async (scene) => {
      const volume = scene.volume('trash', { state: 'Destroy' });
      const ended = await scene.attach(volume.id);
      must(ended.status === 'failed', `the attach is ${ended.status}: ${ended.wait_reason ?? ''}`);
    },
  },
  {
    id: 'C3',
    title: 'a delete fails in expunge and leaves the volume in Destroy: never tried again, without a word',
    run: async (scene) => {
      const volume = scene.volume('expunge');
      scene.model.faults.add({ command: 'deleteVolume', kind: 'agent-fails', text: 'the pool is away' });
      const removed = await scene.remove(volume.id, 60 * SECOND_MS);
      must(
        removed.status === 'completed',
        `the delete ${removed.status}: ${removed.wait_reason ?? removed.error}`,
      );
      must(volume.removed, `the volume is ${volume.state}`);
    },
  },
  ...(['vm-busy', 'no-storage', 'no-endpoint', 'not-scheduled'] as const).map((kind, index) => ({
    id: `C4${'abcd'[index]}`,
    title: `an attach job that fails for the moment (${kind}) ends the operation for good`,
    run: async (scene: Parameters<Report['run']>[0]) => {
      const id = await scene.walk.create('later');
      scene.model.faults.add({ command: 'attachVolume', kind });
      const ended = await scene.attach(id, scene.here, 60 * SECOND_MS);
      must(ended.status === 'completed', `the attach ${ended.status}: ${ended.error}`);
    },
  })),
  {
    id: 'C6',
    title: 'a VM that the key may not expunge is kept although it may be destroyed',
    options: { cloud: { account: 'plain' } },
    run: async (scene) => {
      const test_vm_id = scene.vm('Stopped');
      const volume = scene.volume('disk');
      scene.plugInto(volume, test_vm_id);
      const ended = await scene.run(
        'POST',
        '/api/v1/cleanup/test-failover',
        { volume_id: volume.id, test_vm_id, oma_vm_id: scene.here, delete_vm: true, force_clean: true },
        60 * SECOND_MS,
      );
      must(ended.status === 'completed', `the cleanup ${ended.status}: ${ended.error}`);
      const { state } = scene.model.inventory.vm('', 'id', test_vm_id);
      must(['Destroyed', 'Expunging'].includes(state), `the VM is ${state}`);
    },
  },
  {
    id: 'C7',
    title: 'a detach that waits for a disk that does not leave says no reason',
    run: async (scene) => {
      const volume = await scene.attached('ghost');
      scene.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
      const operation = await scene.begin('POST', `/api/v1/volumes/${volume.id}/detach`);
      const said = await scene.until(async () => {
        const { status, wait_reason } = await scene.operation(operation);
        return status === 'executing' && Boolean(wait_reason);
      }, 20 * SECOND_MS);
      must(said, 'the operation shows no reason');
    },
  },
];
