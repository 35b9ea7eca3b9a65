import { describe, expect, it } from 'vitest';
import type { Fault } from '~/lab/cloudstack/faults';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import type { OperationType, RequestOf } from '~/server/model/operation';
import type { Mutation } from '~/server/operations/action';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

interface Done {
  readonly command: Mutation['name'];
  /** Prepares the world, and says what is asked for. */
  readonly prepare: (rig: Rig) => Promise<{ [T in OperationType]: [T, RequestOf[T]] }[OperationType]>;
  /** How often CloudStack has done it. */
  readonly effects: (rig: Rig) => number;
}

const count = (rig: Rig, kind: string) => rig.model.effects.filter((effect) => effect.kind === kind).length;
const cleanup = async (rig: Rig, state: string): Promise<['cleanup', RequestOf['cleanup']]> => {
  const test_vm_id = rig.vm(state);
  const { id } = await rig.volume({ vmId: test_vm_id });
  const more = { oma_vm_id: rig.here, delete_vm: true, force_clean: true };
  return ['cleanup', { volume_id: id, test_vm_id, ...more }];
};

/** Every call whose answer can be lost. */
const CALLS: readonly Done[] = [
  {
    command: 'createVolume',
    prepare: async (rig) => {
      const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
      return ['create', { name: 'new', size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id }];
    },
    effects: (rig) => count(rig, 'create'),
  },
  {
    command: 'attachVolume',
    prepare: async (rig) => ['attach', { volume_id: (await rig.volume()).id, vm_id: rig.here }],
    effects: (rig) => count(rig, 'attach'),
  },
  {
    command: 'detachVolume',
    prepare: async (rig) => [
      'detach',
      { volume_id: (await rig.volume({ vmId: rig.here, mapped: true })).id },
    ],
    effects: (rig) => count(rig, 'detach'),
  },
  {
    command: 'deleteVolume',
    prepare: async (rig) => ['delete', { volume_id: (await rig.volume()).id }],
    effects: (rig) => count(rig, 'delete'),
  },
  {
    command: 'stopVirtualMachine',
    prepare: (rig) => cleanup(rig, 'Running'),
    effects: (rig) => count(rig, 'stop'),
  },
  {
    command: 'destroyVirtualMachine',
    prepare: (rig) => cleanup(rig, 'Stopped'),
    effects: (rig) => count(rig, 'destroy'),
  },
];

const FAULTS: readonly Omit<Fault, 'command'>[] = [
  { kind: 'drop-reply-after-effect' },
  { kind: 'status-after-effect', code: 502 },
  { kind: 'status-after-effect', code: 530 },
  { kind: 'garbage' },
  { kind: 'late-reply', ms: 11 * MINUTE_MS },
  { kind: 'fail-before-effect' },
  { kind: 'duplicate-reply' },
];
const ROWS = CALLS.flatMap((call) =>
  FAULTS.map((fault) => [call.command, `${fault.kind} ${fault.code ?? ''}`, call, fault] as const),
);

describe('the answer to one call is lost', () => {
  it('a create is not sent again once CloudStack may have deleted its job, and what it may have made is named', async () => {
    const rig = await Rig.start();
    const [create] = CALLS;
    const [type, request] = (await create?.prepare(rig)) ?? expect.unreachable();
    rig.model.faults.add({ command: 'createVolume', kind: 'drop-reply-after-effect' });
    const id = await rig.request(type, request);
    await rig.untilSent('createVolume');
    await rig.restart(25 * 60 * MINUTE_MS);
    const ended = await rig.ended(id);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    const [made, ...others] = rig.model.volumes.filter(({ name }) => name === 'new');
    expect(others).toEqual([]);
    expect(ended.error).toMatch(
      new RegExp(`CloudStack may have deleted the job .*: it may be ${made?.id}; nothing was created again$`),
    );
  });

  it.each(ROWS)('%s, %s: done once, and said so', async (command, _name, { prepare, effects }, fault) => {
    const rig = await Rig.start();
    const [type, request] = await prepare(rig);
    rig.model.faults.add({ command, ...fault });
    const operation = await rig.run(type, request as never, 30 * MINUTE_MS);
    expect(operation).toMatchObject({ status: 'completed' });
    expect(effects(rig)).toBe(1);
  });

  it.each(CALLS.map((call) => [call.command, call] as const))(
    '%s, and the daemon dies in the middle: done once',
    async (command, { prepare, effects }) => {
      const rig = await Rig.start();
      const [type, request] = await prepare(rig);
      rig.model.faults.add({ command, kind: 'late-reply', ms: 20 * SECOND_MS });
      const operation = await rig.request(type, request as never);
      await rig.untilSent(command);
      await rig.restart(3 * SECOND_MS);
      expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
      expect(effects(rig)).toBe(1);
    },
  );
});

describe('something on the way sends a call twice', () => {
  it.each(
    CALLS.filter(({ command }) => command !== 'createVolume').map((call) => [call.command, call] as const),
  )('%s happens once', async (command, { prepare, effects }) => {
    const rig = await Rig.start();
    const [type, request] = await prepare(rig);
    rig.model.faults.add({ command, kind: 'duplicate-request' });
    expect(await rig.run(type, request as never)).toMatchObject({ status: 'completed' });
    expect(effects(rig)).toBe(1);
  });

  it('createVolume leaves a row behind, as the real one does: it is named, and nothing else is done about it', async () => {
    const rig = await Rig.start();
    const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
    rig.model.faults.add({ command: 'createVolume', kind: 'duplicate-request' });
    const request = { name: 'new', size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id };
    const operation = await rig.run('create', request);
    const others = rig.model.volumes.filter(({ name, id }) => name === 'new' && id !== operation.volumeId);
    expect(others).toHaveLength(1);
    expect(operation.response?.unclaimed).toEqual(others.map(({ id }) => id));
    expect(rig.calls).toEqual(['createVolume']);
  });
});

describe('after CloudStack has accepted', () => {
  it.each([
    ['nothing answers for two hours', { command: '*', kind: 'html', code: 503 }],
    ['every look at the job is a 401 for two hours', { command: '*', kind: 'status', code: 401 }],
    ['the way to it is broken for two hours', { command: '*', kind: 'fail-before-effect' }],
  ] as const)('%s: it is followed to its end', async (_story, fault) => {
    const rig = await Rig.start({ model: { latencies: { attach: 10 * SECOND_MS } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    rig.model.faults.add({ ...fault, times: 1_000_000 });
    await rig.pass(120 * MINUTE_MS);
    expect(await rig.operation(operation)).toMatchObject({
      status: 'executing',
      waitReason: expect.any(String),
    });
    rig.model.faults.clear();
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect([rig.calls, (await rig.journal(operation)).length]).toEqual([
      ['attachVolume'],
      expect.toSatisfy((n: number) => n <= 20),
    ]);
  });

  it('it cannot be cancelled any more', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 10 * SECOND_MS } } });
    const { id } = await rig.volume();
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    await expect(rig.during(rig.domain.operations.cancel(operation))).rejects.toMatchObject({
      code: 'TOO_LATE_TO_CANCEL',
    });
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
  });
});

describe('while the undo looks, the volume goes out of sight', () => {
  it('an attach whose disk never came: nothing is detached, and that is said', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(10 * SECOND_MS);
    rig.hide(id);
    const ended = await rig.ended(operation, 20 * MINUTE_MS);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(ended.error).toContain('is not known');
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('a detach that was refused: the export stays withdrawn, and that is said', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.model.faults.add({ command: 'detachVolume', kind: 'status', code: 531, text: 'not yours' });
    rig.onSend = () => rig.hide(id);
    const ended = await rig.run('detach', { volume_id: id });
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
    expect(ended.error).toContain('does not tell where the volume is');
    expect([rig.exported(id), rig.calls]).toEqual([false, ['detachVolume']]);
  });
});

describe('a deadline', () => {
  it('of a destroy into the trash leaves its job open: an attach waits for it, and ends with a code', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume();
    // The job waits in a queue of CloudStack, and the volume does not show it.
    rig.cloud.queryJob = async (jobId) => {
      volume.state = 'Ready';
      return {
        jobId,
        status: 'pending',
        errorCode: null,
        errorText: null,
        volumeId: volume.id,
        snapshotId: null,
        plug: null,
      };
    };
    const late = await rig.run('delete', { volume_id: volume.id }, LIMITS.JOB_DEADLINE_MS + 2 * MINUTE_MS);
    expect(late).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
    const attach = { volume_id: volume.id, vm_id: rig.here };
    const ended = await rig.run('attach', attach, LIMITS.VOLUME_BUSY_DEADLINE_MS + 2 * MINUTE_MS);
    expect(rig.calls, 'nothing was sent beside it').toEqual(['destroyVolume']);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_BUSY' });
  });
});

describe('a call that has never left, because the database with its credentials was away', () => {
  it.each(CALLS.map((call) => [call.command, call] as const))(
    '%s leaves when that is back: nobody waits for a job that CloudStack cannot know',
    async (command, { prepare, effects }) => {
      const rig = await Rig.start();
      const [type, request] = await prepare(rig);
      const { cloud } = rig;
      const { submit, deleteVolume, queryJob } = cloud;
      let refusals = 0;
      const refuse = (name: Mutation['name']) => {
        if (name !== command || refusals > 0) return;
        refusals += 1;
        throw new DaemonError('DATABASE_UNAVAILABLE', 'The database is away: a test');
      };
      cloud.submit = async (asked, ...others) => {
        refuse(asked.name);
        return submit.call(cloud, asked, ...others);
      };
      cloud.deleteVolume = async (...asked) => {
        refuse('deleteVolume');
        return deleteVolume.apply(cloud, asked);
      };
      let denied = 0;
      cloud.queryJob = async (jobId) => {
        const job = await queryJob.call(cloud, jobId);
        if (job === null) denied += 1;
        return job;
      };
      const operation = await rig.run(type, request as never, 25 * SECOND_MS);
      expect(operation).toMatchObject({ status: 'completed' });
      expect([refusals, effects(rig), denied]).toEqual([1, 1, 0]);
      const journal = await rig.journal(operation.id);
      expect(journal.filter(({ data }) => data.outcome === 'unknown')).toEqual([]);
    },
  );
});

describe('an operation that is cancelled after the answer to its call was lost', () => {
  it.each([
    [
      'and before it is asked for again',
      'whether the call whose answer was lost has done anything is not known',
    ],
    ['of a call that never left', 'before anything was changed'],
  ])('%s', async (story, words) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const isLost = story.startsWith('and');
    if (isLost) rig.model.faults.add({ command: 'attachVolume', kind: 'fail-before-effect' });
    else rig.model.conditions.add({ kind: 'database-away' });
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.vm('Running') });
    if (isLost) await rig.untilSent('attachVolume');
    await rig.during(rig.domain.operations.cancel(operation));
    const ended = await rig.ended(operation);
    expect(ended).toMatchObject({ status: 'cancelled', error: expect.stringContaining(words) });
    expect(rig.calls).toEqual(isLost ? ['attachVolume'] : []);
  });
});
