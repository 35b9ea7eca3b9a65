import { describe, expect, it } from 'vitest';
import { JOB_RETENTION_MS } from '~/lab/cloudstack/state/jobs';
import { jobView } from '~/lab/cloudstack/views/jobs';
import { create, failureOf, makeWorld } from './world';

const NO_SUCH_JOB =
  /queryasyncjobresult due to invalid value\. Invalid parameter jobid value=.* entity does not exist/;

describe('jobs', () => {
  it('an attach under a job id that is taken has no effect: safe to send again', async () => {
    const { model, settle, volume: make } = makeWorld();
    const volume = await make();
    const asked = {
      id: volume.id,
      vmId: model.applianceVmId,
      deviceId: null,
      jobId: 'ffffffff-0000-4000-8000-000000000000',
    };
    model.attachVolume(asked);
    expect(() => model.attachVolume(asked)).toThrow(
      "UUID: ffffffff-0000-4000-8000-000000000000 already exists so can't create/update with custom id",
    );
    await settle();
    // Once the job has ended, the row is there and only the database notices.
    expect(() => model.attachVolume(asked)).toThrow(
      expect.objectContaining({ code: 530, csCode: 9999, message: 'Entity already exists ' }),
    );
    expect(model.effectsOf(volume.id, 'attach')).toBe(1);
  });

  it('a customjobid is a UUID in lower case', async () => {
    const { model, volume: make } = makeWorld();
    const volume = await make();
    expect(() => model.detachVolume({ id: volume.id, jobId: 'mine' })).toThrow(
      "UUID: mine doesn't follow the UUID format",
    );
    const upper = 'ABCDEFAB-0000-4000-8000-000000000000';
    expect(() => model.detachVolume({ id: volume.id, jobId: upper })).toThrow(
      `UUID: ${upper} doesn't follow the UUID format`,
    );
  });

  it('are forgotten after a day, and unknown before they exist', async () => {
    const { model, clock } = makeWorld();
    const { job } = create(model);
    await clock.advance(100);
    expect(model.queryJob(job.id.toUpperCase()).status).toBe(1);
    await clock.advance(JOB_RETENTION_MS - 1);
    expect(model.queryJob(job.id).status).toBe(1);
    await clock.advance(2);
    expect(() => model.queryJob(job.id)).toThrow(NO_SUCH_JOB);
    expect(() => model.queryJob('ffffffff-0000-4000-8000-000000000000')).toThrow(NO_SUCH_JOB);
  });

  it('a result shows the state at the end of the job, not the present one', async () => {
    const { model, attach, detach, settle, volume: make } = makeWorld();
    const volume = await make();
    const job = attach(volume);
    await settle();
    detach(volume);
    await settle();
    expect(jobView(model, job)).toMatchObject({
      jobresult: { volume: { virtualmachineid: model.applianceVmId, jobid: job.id, jobstatus: 0 } },
    });
  });
});

describe('a management server restart', () => {
  it('fails what is pending with 530 and no result; what waited in the queue is never begun', async () => {
    const { model, clock, attach, volume: make } = makeWorld();
    const volumes = [await make('running'), await make('waiting')] as const;
    const jobs = [attach(volumes[0]), attach(volumes[1])];
    await clock.advance(50);
    model.restart();
    for (const job of jobs) expect(job).toMatchObject({ status: 2, resultCode: 530, result: null });
    const view = JSON.parse(JSON.stringify(jobs[0] ? jobView(model, jobs[0]) : null));
    expect(Object.keys(view)).not.toContain('jobresult');
    expect(Object.keys(view)).not.toContain('jobresulttype');
    await clock.advance(1000);
    expect(volumes.map(({ state, vmId }) => [state, vmId])).toEqual([
      ['Allocated', null],
      ['Allocated', null],
    ]);
    expect(model.effects.filter(({ kind }) => kind === 'attach')).toEqual([]);
  });

  it.each([
    ['lost', false, 'Allocated', false],
    ['lost', true, 'Creating', false],
    ['hypervisor-only', true, 'Creating', true],
    ['hypervisor-only', false, 'Allocated', true],
    ['completed', true, 'Ready', true],
  ] as const)(
    'work in progress: %s, stuck: %s → %s, in the guest: %s',
    async (work, stuck, state, inGuest) => {
      const { model, clock, guest, attach, volume: make } = makeWorld();
      const volume = await make();
      const job = attach(volume);
      await clock.advance(50);
      model.restart({ work, stuck });
      await clock.advance(1000);
      expect(volume.state).toBe(state);
      expect(volume.vmId).toBe(work === 'completed' ? model.applianceVmId : null);
      expect(guest.plugged()).toEqual(inGuest ? [volume.id] : []);
      expect(job).toMatchObject({ status: 2, result: null });
    },
  );

  it('the queue of the VM goes on afterwards', async () => {
    const { model, clock, attach, settle, volume: make } = makeWorld();
    const first = attach(await make('before'));
    await clock.advance(50);
    model.restart({ stuck: false });
    const second = attach(await make('after'));
    await settle();
    expect([first.status, second.status]).toEqual([2, 1]);
  });

  it('a delete in progress is not done, and does not say so', async () => {
    const { model, clock, volume: make } = makeWorld();
    const volume = await make();
    const outcome = model.deleteVolume(volume.id).catch((error: unknown) => String(error));
    model.restart();
    await clock.advance(1000);
    expect(await outcome).toContain('restarted');
    expect(volume).toMatchObject({ removed: false, state: 'Expunging' });
  });

  it('answers no call for a while', async () => {
    const { model, clock } = makeWorld();
    model.restart({ downFor: 500 });
    expect(model.isDown()).toBe(true);
    await clock.advance(500);
    expect(model.isDown()).toBe(false);
  });
});

describe('faults of jobs', () => {
  it.each([
    ['job-without-result', 530, false],
    ['job-without-result-after-effect', 530, true],
    ['job-code-0', 0, false],
    ['job-code-0-after-effect', 0, true],
  ] as const)('%s: failed, code %i, no result; done: %s', async (kind, code, done) => {
    const { model, attach, settle, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind });
    const job = attach(volume);
    await settle();
    expect(job).toMatchObject({ status: 2, resultCode: code, result: null });
    expect(model.effectsOf(volume.id, 'attach')).toBe(done ? 1 : 0);
    expect(volume.vmId).toBe(done ? model.applianceVmId : null);
  });

  it.each([
    ['job-fails', 0],
    ['job-fails-after-effect', 1],
  ] as const)('%s: failed with the text given; effects: %i', async (kind, effects) => {
    const { model, detach, attached, settle } = makeWorld();
    const volume = await attached();
    model.faults.add({ command: 'detachVolume', kind, code: 534, text: 'agent down' });
    const job = detach(volume);
    await settle();
    expect(failureOf(job)).toEqual([534, 'agent down']);
    expect(model.effectsOf(volume.id, 'detach')).toBe(effects);
  });

  it('lose-job: done, and nobody knows the job; its id stays taken', async () => {
    const { model, attach, clock, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind: 'lose-job' });
    const job = attach(volume);
    expect(model.queryJob(job.id).status).toBe(0);
    await clock.advance(100);
    expect(() => model.queryJob(job.id)).toThrow(NO_SUCH_JOB);
    expect(volume.vmId).toBe(model.applianceVmId);
    expect(() => model.detachVolume({ id: volume.id, jobId: job.id })).toThrow('already exists');
  });

  it('affect their command only, as often as asked, and are counted', async () => {
    const { model, attach, detach, settle, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind: 'job-fails', times: 2 });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      const job = attach(volume);
      await settle();
      statuses.push(job.status);
    }
    const job = detach(volume);
    await settle();
    expect([...statuses, job.status]).toEqual([2, 2, 1, 1]);
    expect(model.faults.struck).toEqual({ 'job-fails': 2 });
    expect(model.faults.list()).toEqual([]);
    expect(model.history.events().filter(({ what }) => what === 'fault')).toHaveLength(2);
  });
});

describe('faults between hypervisor and guest', () => {
  it('no-device: CloudStack says attached, the guest has nothing', async () => {
    const { model, guest, attach, settle, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    const job = attach(volume);
    await settle();
    expect([job.status, volume.vmId, guest.plugged()]).toEqual([1, model.applianceVmId, []]);
  });

  it('late-device: the disk comes after the job has ended', async () => {
    const { model, clock, guest, attach, settle, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind: 'late-device', ms: 5000 });
    attach(volume);
    await settle();
    expect(guest.plugged()).toEqual([]);
    await clock.advance(5000);
    expect(guest.plugged()).toEqual([volume.id]);
  });

  it('ghost-disk on a detach: CloudStack says detached, the guest keeps it, and the next attach fails', async () => {
    const { model, guest, attach, detach, attached, settle } = makeWorld();
    const volume = await attached();
    model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
    detach(volume);
    await settle();
    expect([volume.vmId, guest.plugged()]).toEqual([null, [volume.id]]);
    const job = attach(volume);
    await settle();
    expect(failureOf(job)).toEqual([530, expect.stringContaining('already exists')]);
    expect(volume.state).toBe('Ready');
  });

  it('ghost-disk on an attach: the job fails, the guest has the disk', async () => {
    const { model, guest, attach, settle, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind: 'ghost-disk' });
    const job = attach(volume);
    await settle();
    expect(failureOf(job)).toEqual([
      530,
      expect.stringContaining('Failed to attach volume data to VM appliance'),
    ]);
    expect([volume.vmId, guest.plugged()]).toEqual([null, [volume.id]]);
  });

  it('detach-timeout: fails as in #7316, is in progress meanwhile, and works once the disk has left', async () => {
    const { model, clock, guest, detach, attached, settle } = makeWorld();
    const volume = await attached();
    model.faults.add({ command: 'detachVolume', kind: 'detach-timeout', ms: 5000 });
    const first = detach(volume);
    await settle();
    expect(failureOf(first)).toEqual([530, expect.stringContaining('waiting for [10000] milliseconds')]);
    const second = detach(volume);
    await settle();
    expect(failureOf(second)).toEqual([
      530,
      expect.stringContaining('virtio-disk1 is already in the process of unplug'),
    ]);
    await clock.advance(5000);
    expect(guest.plugged()).toEqual([]);
    expect(volume.vmId).toBe(model.applianceVmId);
    const third = detach(volume);
    await settle();
    expect([third.status, volume.vmId]).toEqual([1, null]);
    expect(model.effectsOf(volume.id, 'detach')).toBe(1);
  });

  it('detach-timeout without a time: the guest never receives it, the next detach asks again', async () => {
    const { model, clock, guest, detach, attached, settle } = makeWorld();
    const volume = await attached();
    model.faults.add({ command: 'detachVolume', kind: 'detach-timeout' });
    detach(volume);
    await clock.advance(100_000);
    expect(guest.plugged()).toEqual([volume.id]);
    const again = detach(volume);
    await settle();
    expect([again.status, guest.plugged()]).toEqual([1, []]);
  });

  it('restart: in the middle of the work', async () => {
    const { model, clock, guest, attach, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind: 'restart', work: 'hypervisor-only', ms: 10 });
    const job = attach(volume);
    await clock.advance(50);
    expect(job).toMatchObject({ status: 2, resultCode: 530, result: null });
    expect(model.isDown()).toBe(true);
    await clock.advance(50);
    expect([volume.state, guest.plugged()]).toEqual(['Allocated', [volume.id]]);
  });

  it('ghosts and phantoms can be made at any time', async () => {
    const { model, guest, attached, volume: make } = makeWorld();
    const [ghost, phantom] = [await make('ghost'), await attached('phantom')];
    await model.makeGhost(ghost.id);
    await model.makePhantom(phantom.id);
    expect(guest.plugged()).toEqual([ghost.id]);
    expect([ghost.vmId, phantom.vmId]).toEqual([null, model.applianceVmId]);
  });
});
