import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { OperationType } from '~/server/model/operation';
import { JobDenials } from '~/server/operations/execute/job-denials';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

const ASKED = { command: 'queryAsyncJobResult', kind: 'unknown-job' } as const;
const UNANSWERED = { command: 'queryAsyncJobResult', kind: 'fail-before-effect' } as const;

describe('a denial', () => {
  it('is believed after three answers over the whole time, and not by fewer or sooner', () => {
    const denials = new JobDenials();
    expect([0, 31_000].map((now) => denials.deny('few', now, 30_000))).toEqual([false, false]);
    expect(denials.deny('few', 31_001, 30_000)).toBe(true);
    expect([0, 1, 2, 29_999, 30_000].map((now) => denials.deny('soon', now, 30_000))).toEqual([
      ...Array(4).fill(false),
      true,
    ]);
  });

  it('counts from the beginning again once the job has been seen', () => {
    const denials = new JobDenials();
    for (const now of [0, 10_000, 20_000]) denials.deny('job', now, 30_000);
    denials.forget('job');
    expect(denials.deny('job', 40_000, 30_000)).toBe(false);
    expect(denials.deny('another', 80_000, 30_000)).toBe(false);
  });
});

describe('"no such job" for a job that CloudStack has accepted', () => {
  it.each([
    ['one answer', 1],
    ['five answers in a row', 5],
  ])('%s: nothing is sent a second time', async (_story, times) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ ...ASKED, times });
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({
      status: 'completed',
    });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('for 20 s while the job runs: it is asked again until it ends', async () => {
    const rig = await Rig.start({ model: { latencies: { detach: 25 * SECOND_MS } } });
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.model.faults.add({ ...ASKED, times: 10_000 });
    const operation = await rig.request('detach', { volume_id: id });
    await rig.untilSent('detachVolume');
    await rig.pass(20 * SECOND_MS);
    rig.model.faults.clear();
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('after a lost reply: a second call goes out only after the denial is believed, and never before', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const at: number[] = [];
    rig.onSend = () => void at.push(rig.clock.monotonic());
    rig.model.faults.add({ command: 'attachVolume', kind: 'fail-before-effect' });
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({
      status: 'completed',
    });
    expect(rig.calls).toEqual(['attachVolume', 'attachVolume']);
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(30 * SECOND_MS);
  });

  it('after a lost reply and one odd denial: the accepted job is found', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'drop-reply-after-effect' });
    rig.model.faults.add({ ...ASKED, times: 2 });
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({
      status: 'completed',
    });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('for good: the volume at rest tells what became of it, nothing is sent again', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'lose-job' });
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({
      status: 'completed',
    });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('for good while the volume is still Attaching: it is waited for', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 3 * MINUTE_MS } } });
    const { id } = await rig.volume({ state: 'Allocated' });
    rig.model.faults.add({ ...ASKED, times: 10_000 });
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.pass(2 * MINUTE_MS);
    expect(await rig.operation(operation)).toMatchObject({ status: 'executing' });
    expect(
      (await rig.journal(operation)).map(({ state }) => state),
      'not taken for ended',
    ).not.toContain('finished');
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it.each([
    ['attach', 'attachVolume', (volume_id: string, rig: Rig) => ({ volume_id, vm_id: rig.here })],
    ['detach', 'detachVolume', (volume_id: string) => ({ volume_id })],
  ] as const)(
    'for good while the volume of the %s is hidden: not taken for ended until the volume is seen',
    async (type, command, request) => {
      const rig = await Rig.start({ model: { latencies: { attach: 3 * MINUTE_MS, detach: 3 * MINUTE_MS } } });
      const { id } = await rig.volume(type === 'detach' ? { vmId: rig.here, mapped: true } : {});
      const operation = await rig.request(type, request(id, rig));
      await rig.untilSent(command);
      await rig.pass(SECOND_MS);
      rig.model.faults.add({ ...ASKED, times: 10_000 });
      rig.hide(id, 20 * MINUTE_MS);
      await rig.pass(10 * MINUTE_MS);
      const waiting = await rig.operation(operation);
      expect(waiting).toMatchObject({ status: 'executing' });
      expect(waiting.waitReason).toMatch(/denies job .* not visible to this key/);
      expect(
        (await rig.journal(operation)).map(({ state }) => state),
        'not taken for ended',
      ).not.toContain('finished');
      expect(await rig.ended(operation, 20 * MINUTE_MS)).toMatchObject({ status: 'completed' });
      expect(rig.calls).toEqual([command]);
    },
  );

  it('for good and the volume hidden for good: the operation ends by its deadline, and the job stays open', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.vm('Running') });
    rig.model.faults.add({ command: 'detachVolume', kind: 'lose-job' });
    const operation = await rig.request('detach', { volume_id: id });
    await rig.untilSent('detachVolume');
    await rig.pass(10);
    rig.hide(id);
    const late = await rig.ended(operation, LIMITS.JOB_DEADLINE_MS + 5 * MINUTE_MS);
    expect(late).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
    expect(await rig.ledger.openJobs(id)).toHaveLength(1);
    rig.model.conditions.clear();
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({
      status: 'completed',
    });
    expect(await rig.ledger.openJobs(id)).toEqual([]);
    // CloudStack has told nothing of its end.
    expect((await rig.journal(operation)).at(-1)).toMatchObject({
      state: 'finished',
      data: { straggler: true, outcome: 'unknown' },
    });
  });

  it('a daemon that dies after the acceptance follows the job it left, and sends nothing', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 30 * SECOND_MS } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    rig.model.faults.add({ ...ASKED, times: 2 });
    await rig.restart(5 * SECOND_MS);
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('also where the clock of this machine is not set yet when it begins again: the job’s hour is CloudStack’s', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 30 * SECOND_MS } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    rig.clock.set(2 * LIMITS.JOB_DEADLINE_MS);
    rig.cloud.skewMs = -2 * LIMITS.JOB_DEADLINE_MS;
    await rig.restart(5 * SECOND_MS);
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('also where it does not tell its time, and the clock of this machine was set before the start', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 30 * SECOND_MS } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    rig.clock.set(2 * LIMITS.JOB_DEADLINE_MS);
    rig.cloud.skewMs = null;
    await rig.restart(5 * SECOND_MS);
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('but not for longer than an hour from the start on', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 20 * LIMITS.JOB_DEADLINE_MS } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    rig.clock.set(2 * LIMITS.JOB_DEADLINE_MS);
    rig.cloud.skewMs = null;
    await rig.restart(5 * SECOND_MS);
    const late = await rig.ended(operation, LIMITS.JOB_DEADLINE_MS + 5 * MINUTE_MS);
    expect(late).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
  });

  it.each([
    ['CloudStack’s clock is hours behind', 0],
    ['the clock of this machine was set back by hours', -9 * LIMITS.JOB_DEADLINE_MS],
  ])('no clock makes it wait for longer than an hour of its own: %s', async (_, setMs) => {
    const rig = await Rig.start({ model: { latencies: { attach: 20 * LIMITS.JOB_DEADLINE_MS } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    rig.clock.set(setMs);
    rig.cloud.skewMs = -9 * LIMITS.JOB_DEADLINE_MS;
    await rig.restart(5 * SECOND_MS);
    const late = await rig.ended(operation, LIMITS.JOB_DEADLINE_MS + 5 * MINUTE_MS);
    expect(late).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
  });
});

/** An hour and more, so that the operation ends by its deadline and leaves an open job. */
const SLOW_MS = LIMITS.JOB_DEADLINE_MS + 12 * MINUTE_MS;

describe('a job that outlives its operation', () => {
  async function withOpenDetach(ms = SLOW_MS) {
    const rig = await Rig.start({ model: { latencies: { detach: { accept: 0, job: ms } } } });
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    const late = await rig.run('detach', { volume_id: volume.id }, LIMITS.JOB_DEADLINE_MS + 5 * MINUTE_MS);
    expect(late).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
    expect(rig.model.pendingJobs()).toHaveLength(1);
    return { rig, volume, vmId };
  }

  it.each<[OperationType, (id: string, rig: Rig, vmId: string) => object]>([
    ['attach', (volume_id, rig) => ({ volume_id, vm_id: rig.here })],
    ['detach', (volume_id) => ({ volume_id })],
    [
      'cleanup',
      (volume_id, rig, test_vm_id) => ({
        ...{ volume_id, test_vm_id },
        oma_vm_id: rig.here,
        delete_vm: false,
        force_clean: true,
      }),
    ],
  ])('keeps a %s of the volume waiting: nothing about it is sent while it may run', async (type, request) => {
    const { rig, volume, vmId } = await withOpenDetach();
    const sent = rig.sent.length;
    const about = () => rig.sent.slice(sent).filter((command) => 'volumeId' in command);
    const operation = await rig.request(type, request(volume.id, rig, vmId) as never);
    await rig.pass(8 * MINUTE_MS);
    expect(about()).toEqual([]);
    const ended = await rig.ended(operation, 30 * MINUTE_MS);
    expect([ended.status, rig.model.pendingJobs()]).toEqual(['completed', []]);
  });

  it.each<[OperationType, (id: string, rig: Rig) => object]>([
    ['attach', (volume_id, rig) => ({ volume_id, vm_id: rig.here })],
    ['detach', (volume_id) => ({ volume_id })],
  ])('that never ends: a %s ends with a code in the end, and has sent nothing', async (type, request) => {
    const { rig, volume } = await withOpenDetach(10 * LIMITS.JOB_DEADLINE_MS);
    const ended = await rig.run(
      type,
      request(volume.id, rig) as never,
      LIMITS.VOLUME_BUSY_DEADLINE_MS + MINUTE_MS,
    );
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_BUSY' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it.each<[string, (rig: Rig) => unknown]>([
    ['CloudStack cannot be asked for a moment', (rig) => rig.model.faults.add({ ...UNANSWERED, times: 1 })],
    ['the daemon is started again', (rig) => rig.restart()],
  ])('has its hour once: not another one each time that %s', async (_story, disturb) => {
    const latencies = { detach: { accept: 0, job: 10 * LIMITS.JOB_DEADLINE_MS } };
    const rig = await Rig.start({ model: { latencies } });
    const { id } = await rig.volume({ vmId: rig.vm('Running') });
    const operation = await rig.request('detach', { volume_id: id });
    for (let part = 0; part < 3; part += 1) {
      await rig.pass(LIMITS.JOB_DEADLINE_MS / 4);
      await disturb(rig);
    }
    expect(await rig.ended(operation, LIMITS.JOB_DEADLINE_MS / 4 + 5 * MINUTE_MS)).toMatchObject({
      errorCode: 'STEP_DEADLINE',
    });
  });

  it('runs on after a question that failed: the operation does not tell that it waits for an answer any more', async () => {
    const rig = await Rig.start({ model: { latencies: { detach: 20 * MINUTE_MS } } });
    const { id } = await rig.volume({ vmId: rig.vm('Running') });
    const operation = await rig.request('detach', { volume_id: id });
    await rig.untilSent('detachVolume');
    await rig.pass(MINUTE_MS);
    rig.model.faults.add({ ...UNANSWERED, times: 1 });
    await rig.pass(MINUTE_MS);
    const { waitReason } = await rig.operation(operation);
    expect(waitReason).toMatch(/^CloudStack job \S+ is running$/);
    const told = (await rig.journal(operation)).filter(({ state }) => state === 'waiting');
    expect(told.map(({ data }) => data.reason)).toEqual([expect.stringMatching(/ECONNRESET/), waitReason]);
  });

  it('and is forgotten while the daemon is down: the volume tells what became of it', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.vm('Running') });
    rig.model.faults.add({ command: 'detachVolume', kind: 'lose-job' });
    const operation = await rig.request('detach', { volume_id: id });
    await rig.untilSent('detachVolume');
    await rig.restart(2 * LIMITS.JOB_DEADLINE_MS);
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('a deadline sends nothing by itself, and rolls nothing back', async () => {
    const { rig, volume, vmId } = await withOpenDetach();
    expect(volume.vmId).toBe(vmId);
    expect(rig.calls).toEqual(['detachVolume']);
  });
});

describe('a second call that queues behind the first', () => {
  it('never happens: a detach that is asked for twice is one detach (#14214)', async () => {
    const rig = await Rig.start({ model: { latencies: { detach: 10 * SECOND_MS } } });
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    const [first, second] = [
      await rig.request('detach', { volume_id: id }),
      await rig.request('detach', { volume_id: id }),
    ];
    await rig.ended(first);
    await rig.ended(second);
    expect(rig.calls).toEqual(['detachVolume']);
  });
});

describe('the job of an attach to this appliance', () => {
  it('is asked again at once when the guest shows the disk, however long its pause would have been', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 61_000 } } });
    const { id } = await rig.volume();
    const { id: operation } = await rig.run('attach', { volume_id: id, vm_id: rig.here });
    const ended = rig.model.history.events().findLast(({ what }) => what === 'job-ended');
    const heard = (await rig.journal(operation)).find(({ state }) => state === 'finished');
    expect((heard?.at ?? 0) - (ended?.at ?? 0)).toBeLessThan(LIMITS.JOB_POLL_FIRST_MS);
  });

  it('goes on to be asked when other disks come and go, and ends by what CloudStack says', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 5_000 } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.pass(1_000);
    await rig.guest.plug({ volumeId: 'by hand', size: GIB, serial: 'by-hand' });
    await rig.pass(1_000);
    expect(await rig.operation(operation)).toMatchObject({ status: 'executing' });
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
  });
});

describe('an attach that was given up while its job ran', () => {
  it('a detach waits for that job, and takes the volume away again', async () => {
    const hours = LIMITS.JOB_DEADLINE_MS + 10 * MINUTE_MS;
    const rig = await Rig.start({ model: { latencies: { attach: hours } } });
    const { id } = await rig.volume();
    const attach = await rig.run('attach', { volume_id: id, vm_id: rig.vm('Running') }, hours);
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
    // CloudStack does not show that it works on the volume.
    const volume = rig.model.inventory.volume('', '', id);
    volume.state = 'Ready';
    const detach = await rig.request('detach', { volume_id: id });
    await rig.pass(MINUTE_MS);
    expect(await rig.operation(detach)).toMatchObject({
      waitReason: 'an earlier job of this volume may still be running in CloudStack',
    });
    expect(await rig.ended(detach, 20 * MINUTE_MS)).toMatchObject({ status: 'completed' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume', 'detachVolume'], null]);
  });
});

describe('an attach that somebody else has asked for', () => {
  it('and that still runs: a detach does not call the volume detached, and takes it away once it is there', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: MINUTE_MS } } });
    const volume = await rig.volume();
    const elsewhere = rig.vm('Running');
    rig.model.attachVolume({ id: volume.id, vmId: elsewhere, deviceId: null, jobId: randomUUID() });
    await rig.pass(SECOND_MS);
    expect(volume).toMatchObject({ state: 'Attaching', vmId: null });
    const detach = await rig.request('detach', { volume_id: volume.id });
    await rig.pass(10 * SECOND_MS);
    expect(await rig.operation(detach)).toMatchObject({
      status: 'executing',
      waitReason: 'CloudStack is busy with the volume: it is being attached (Attaching)',
    });
    expect(await rig.ended(detach)).toMatchObject({ status: 'completed' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], null]);
  });
});
