import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Fault } from '~/lab/cloudstack/faults';
import type { CloudError, CloudJob } from '~/server/cloudstack/cloud';
import { refused, told, type World } from './world';

/** A fault of the exchange, what the caller is told, and how often the attach has happened all the same. */
const EXCHANGES: readonly [fault: Omit<Fault, 'command'>, told: string, effects: 0 | 1][] = [
  [{ kind: 'fail-before-effect' }, 'network unknown', 0],
  [{ kind: 'drop-reply-after-effect' }, 'network unknown', 1],
  [{ kind: 'garbage' }, 'network unknown', 1],
  [{ kind: 'html' }, 'network unknown', 0],
  [{ kind: 'status', code: 502 }, 'network unknown', 0],
  [{ kind: 'status', code: 401 }, 'authentication not-started 401', 0],
  [{ kind: 'status', code: 429 }, 'rate-limit not-started 429', 0],
  [{ kind: 'status', code: 431, text: 'no' }, 'parameter final 431', 0],
  [{ kind: 'status', code: 530, text: 'no' }, 'internal unknown 530', 0],
  [
    { kind: 'status', code: 530, text: 'A shutdown has been triggered. Can not accept new jobs' },
    'internal not-started 530',
    0,
  ],
  [{ kind: 'status', code: 533, text: 'no' }, 'capacity unknown 533', 0],
  [{ kind: 'status', code: 535, text: 'no' }, 'quota final 535', 0],
  [{ kind: 'status-after-effect', code: 530, text: 'no' }, 'internal unknown 530', 1],
  [{ kind: 'duplicate-request' }, 'internal taken 431', 1],
  [{ kind: 'duplicate-reply' }, 'accepted', 1],
  [{ kind: 'control-characters' }, 'accepted', 1],
  [{ kind: 'delay', ms: 20 }, 'accepted', 1],
  [{ kind: 'late-reply', ms: 20 }, 'accepted', 1],
  [{ kind: 'slow-bytes', ms: 20 }, 'accepted', 1],
];

/** A fault of the job, what becomes of it, and whether the volume is attached afterwards. */
const JOBS: readonly [fault: Omit<Fault, 'command'>, job: Partial<CloudJob> | null, attached: boolean][] = [
  [{ kind: 'lose-job' }, null, true],
  [{ kind: 'job-without-result' }, { status: 'failed', errorCode: 530, errorText: null }, false],
  [{ kind: 'job-without-result-after-effect' }, { status: 'failed', errorCode: 530, errorText: null }, true],
  [{ kind: 'job-code-0' }, { status: 'failed', errorCode: 0, errorText: null }, false],
  [{ kind: 'job-code-0-after-effect' }, { status: 'failed', errorCode: 0, errorText: null }, true],
  [
    { kind: 'job-fails', code: 534, text: 'pool down' },
    { status: 'failed', errorCode: 534, errorText: 'pool down' },
    false,
  ],
  [
    { kind: 'job-fails-after-effect', code: 530, text: 'late' },
    { status: 'failed', errorCode: 530, errorText: 'late' },
    true,
  ],
];

/** What comes of a call whose answer, or whose job, goes wrong. */
export function faults(the: () => World): void {
  it.each(EXCHANGES)('a change and the fault %o: %s', async (fault, expected, effects) => {
    const world = the();
    const volumeId = await world.create('faulty');
    world.model.faults.add({ ...fault, command: 'attachVolume' });
    const answer = world.cloud.submit(world.attach(volumeId), randomUUID());
    expect(
      await answer.then(
        () => 'accepted',
        (error: CloudError) => told(error),
      ),
    ).toBe(expected);
    while (world.model.pendingJobs().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(world.model.effectsOf(volumeId, 'attach')).toBe(effects);
    if (effects > 0) await world.done({ name: 'detachVolume', volumeId });
  });

  it.each(JOBS)('a job and the fault %o', async (fault, expected, attached) => {
    const world = the();
    const volumeId = await world.create('job-fault');
    world.model.faults.add({ ...fault, command: 'attachVolume' });
    const jobId = randomUUID();
    await world.cloud.submit(world.attach(volumeId), jobId);
    while (world.model.pendingJobs().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const job = await world.cloud.queryJob(jobId);
    if (expected === null) expect(job).toBeNull();
    else expect(job).toMatchObject({ jobId, volumeId, ...expected });
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({
      kind: 'seen',
      value: { vmId: attached ? world.model.applianceVmId : null },
    });
    if (attached) await world.done({ name: 'detachVolume', volumeId });
  });

  it('a management server that restarts answers no call until it is back', async () => {
    const world = the();
    world.model.restart({ downFor: 3_600_000 });
    expect(told(await refused(world.cloud.capabilities()))).toBe('network unknown');
    // A second restart that takes no time ends the first.
    world.model.restart();
    expect((await world.cloud.capabilities()).version).toBe('4.20.0.0');
  });
}
