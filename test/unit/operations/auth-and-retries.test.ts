import { describe, expect, it } from 'vitest';
import type { Fault } from '~/lab/cloudstack/faults';
import { LIMITS } from '~/server/core/limits';
import type { Mutation } from '~/server/operations/action';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

/** Each call that an attach makes. */
const CALLS = ['listVolumes', 'attachVolume', 'queryAsyncJobResult'] as const;

const attach = (rig: Rig, volumeId: string) =>
  rig.request('attach', { volume_id: volumeId, vm_id: rig.here });

/** The whole of CloudStack answers 401. */
const away = (rig: Rig, ms: number, delayMs = 0) =>
  rig.model.conditions.add({ kind: 'database-away', ms, delayMs });

describe('401', () => {
  it.each(CALLS)('one to %s ends nothing', async (command) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command, kind: 'status', code: 401 });
    expect(await rig.ended(await attach(rig, id))).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(id, 'attach')).toBe(1);
  });

  it.each([
    ['the database of CloudStack is away for 4 minutes', (rig: Rig) => away(rig, 4 * MINUTE_MS)],
    ['it is away, and every 401 takes 29 s', (rig: Rig) => away(rig, 4 * MINUTE_MS, 29 * SECOND_MS)],
    [
      'the user is disabled for 4 s',
      (rig: Rig) => rig.model.conditions.add({ kind: 'user-disabled', ms: 4 * SECOND_MS }),
    ],
  ])('before anything was accepted: %s, and it goes on', async (_story, begin) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    begin(rig);
    expect(await rig.ended(await attach(rig, id), 10 * MINUTE_MS)).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(id, 'attach')).toBe(1);
  });

  it('that lasts is a wrong key: the operation ends with that code, and can be cancelled meanwhile', async () => {
    const rig = await Rig.start();
    const [first, second] = [await rig.volume(), await rig.volume()];
    away(rig, 30 * MINUTE_MS);
    const operation = await attach(rig, first.id);
    const ended = await rig.ended(operation, LIMITS.AUTH_RETRY_DEADLINE_MS + 2 * MINUTE_MS);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_AUTH' });
    const other = await attach(rig, second.id);
    await rig.pass(MINUTE_MS);
    await rig.during(rig.domain.operations.cancel(other));
    expect((await rig.ended(other, SECOND_MS)).status).toBe('cancelled');
    expect(rig.calls).toEqual([]);
  });

  it('to the send itself: not started, so the very same call leaves again, and no job is asked for', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'status', code: 401, times: 3 });
    expect(await rig.ended(await attach(rig, id))).toMatchObject({ status: 'completed' });
    expect([rig.calls.length, rig.model.effectsOf(id, 'attach')]).toEqual([4, 1]);
  });

  it('for an hour after the acceptance: it is waited for, and the volume is mapped', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 10 * SECOND_MS } } });
    const { id } = await rig.volume();
    const operation = await attach(rig, id);
    await rig.untilSent('attachVolume');
    await rig.pass(SECOND_MS);
    away(rig, 60 * MINUTE_MS);
    await rig.pass(30 * MINUTE_MS);
    expect(await rig.operation(operation)).toMatchObject({
      status: 'executing',
      waitReason: expect.stringContaining('401'),
    });
    expect(await rig.ended(operation, 45 * MINUTE_MS)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
    expect((await rig.journal(operation)).length).toBeLessThanOrEqual(20);
  });

  it('holds up what waits behind it, which says so; one that has only its turn before others holds nothing up', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 10 * SECOND_MS } } });
    const { operations } = rig.domain;
    const { id } = await rig.volume();
    const operation = await attach(rig, id);
    await rig.untilSent('attachVolume');
    const behind = await rig.request('detach', { volume_id: id });
    await rig.pass(SECOND_MS);
    expect((await operations.read(behind)).waitReason).toBeNull();
    away(rig, 60 * MINUTE_MS);
    await rig.pass(MINUTE_MS);
    const told = await operations.read(behind);
    expect(told).toMatchObject({ status: 'pending', waitReason: expect.stringContaining('401') });
    expect(told.waitReason).toContain(operation);
    expect((await operations.list({ limit: 10 })).find(({ id }) => id === behind)).toEqual(told);
  });

  it('for an hour after a detach that was accepted, across a restart of the daemon', async () => {
    const rig = await Rig.start({ model: { latencies: { detach: 10 * SECOND_MS } } });
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    const operation = await rig.request('detach', { volume_id: id });
    await rig.untilSent('detachVolume');
    await rig.pass(SECOND_MS);
    away(rig, 60 * MINUTE_MS);
    await rig.restart(10 * MINUTE_MS);
    expect(await rig.ended(operation, 75 * MINUTE_MS)).toMatchObject({ status: 'completed' });
    expect(await rig.ledger.readMapping(id)).toBeNull();
    expect(rig.calls).toEqual(['detachVolume']);
  });
});

describe('a key that may not ask about a job any more', () => {
  it.each([531, 432, 530])(
    '%d for three hours: the operation waits, says why, and goes on once it may ask again',
    async (code) => {
      const rig = await Rig.start({ model: { latencies: { attach: 10 * SECOND_MS } } });
      const { id } = await rig.volume();
      const operation = await attach(rig, id);
      await rig.untilSent('attachVolume');
      rig.model.faults.add({ command: 'queryAsyncJobResult', kind: 'status', code, times: 1_000_000 });
      await rig.pass(180 * MINUTE_MS);
      const why = expect.stringContaining(`CloudStack API error ${code}`);
      expect(await rig.operation(operation)).toMatchObject({ status: 'executing', waitReason: why });
      expect(rig.domain.ownership.engine?.status()).toMatchObject([{ waiting: { reason: why } }]);
      expect((await rig.journal(operation)).length).toBeLessThanOrEqual(20);
      rig.model.faults.clear();
      expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
      expect((await rig.ledger.readMapping(id))?.vmId).toBe(rig.here);
      expect(rig.calls).toEqual(['attachVolume']);
    },
  );
});

/** What a single call is answered. */
const ANSWERS: readonly Pick<Fault, 'kind' | 'code'>[] = [
  { kind: 'status', code: 530 },
  { kind: 'status', code: 502 },
  { kind: 'status', code: 403 },
  { kind: 'status', code: 429 },
  { kind: 'status', code: 533 },
  { kind: 'html' },
  { kind: 'fail-before-effect' },
];

interface Alone {
  readonly command: Mutation['name'];
  readonly begin: (rig: Rig) => Promise<string>;
}

/** Every call that may fail alone, and the operation that makes it. */
const ALONE: readonly Alone[] = [
  { command: 'attachVolume', begin: async (rig) => attach(rig, (await rig.volume()).id) },
  {
    command: 'detachVolume',
    begin: async (rig) =>
      rig.request('detach', { volume_id: (await rig.volume({ vmId: rig.here, mapped: true })).id }),
  },
  {
    command: 'createVolume',
    begin: (rig) => {
      const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
      const request = { name: 'new', size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id };
      return rig.request('create', request);
    },
  },
  {
    command: 'deleteVolume',
    begin: async (rig) => rig.request('delete', { volume_id: (await rig.volume()).id }),
  },
  {
    command: 'stopVirtualMachine',
    begin: async (rig) => {
      const vmId = rig.vm('Running');
      const { id } = await rig.volume({ vmId });
      return rig.request('cleanup', {
        ...{ volume_id: id, test_vm_id: vmId, oma_vm_id: rig.here },
        ...{ delete_vm: false, force_clean: true },
      });
    },
  },
];

const ROWS = ALONE.flatMap(({ command, begin }) =>
  ANSWERS.map((answer) => [command, `${answer.kind} ${answer.code ?? ''}`, answer, begin] as const),
);

describe('one call fails alone while every other answers', () => {
  it.each(ROWS)(
    '%s (%s) for 30 s: at most 12 sends and 20 rows, then it goes on',
    async (command, _name, answer, begin) => {
      const rig = await Rig.start();
      rig.model.faults.add({ command, ...answer, times: 10_000 });
      const operation = await begin(rig);
      await rig.pass(30 * SECOND_MS);
      const sends = rig.calls.filter((one) => one === command).length;
      expect(sends).toBeGreaterThan(0);
      expect(sends).toBeLessThanOrEqual(12);
      expect((await rig.journal(operation)).length).toBeLessThanOrEqual(20);
      expect(await rig.operation(operation)).toMatchObject({
        status: 'executing',
        waitReason: expect.any(String),
      });
      rig.model.faults.clear();
      expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    },
  );

  it.each(ROWS)(
    '%s (%s) for ever: it ends with a code after its time, and with few rows',
    async (command, _name, answer, begin) => {
      const rig = await Rig.start();
      rig.model.faults.add({ command, ...answer, times: 1_000_000 });
      const operation = await begin(rig);
      const ended = await rig.ended(operation, LIMITS.RESOURCE_RETRY_DEADLINE_MS + 3 * MINUTE_MS);
      expect(ended.status).toBe('failed');
      expect(['CLOUDSTACK_UNAVAILABLE', 'STEP_DEADLINE']).toContain(ended.errorCode);
      expect(
        (await rig.journal(operation)).filter(({ state }) => state === 'waiting').length,
      ).toBeLessThanOrEqual(LIMITS.JOURNALED_WAITS);
    },
  );

  it.each(ROWS.filter(([command]) => command !== 'deleteVolume'))(
    '%s (%s): a cancel is honoured, since nothing was accepted, and nothing leaves after it',
    async (command, _name, answer, begin) => {
      const rig = await Rig.start();
      rig.model.faults.add({ command, ...answer, times: 10_000 });
      const operation = await begin(rig);
      // By then a pause takes many seconds, which a cancel does not wait for.
      await rig.pass(60 * SECOND_MS);
      await rig.during(rig.domain.operations.cancel(operation));
      const sent = rig.sent.length;
      rig.model.faults.clear();
      // As soon as it is believed that CloudStack has not got the last send either (JOB_LOST_AFTER).
      expect(await rig.ended(operation, 45 * SECOND_MS)).toMatchObject({ status: 'cancelled' });
      expect(rig.sent).toHaveLength(sent);
      expect(rig.model.effects).toEqual([]);
    },
  );

  it('a pause grows although other calls succeed in between', async () => {
    const rig = await Rig.start();
    const at: number[] = [];
    rig.onSend = () => void at.push(rig.clock.monotonic());
    rig.model.faults.add({ command: 'attachVolume', kind: 'status', code: 429, times: 8 });
    await rig.ended(await attach(rig, (await rig.volume()).id));
    const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(pauses).toHaveLength(8);
    expect(pauses.slice(0, 5)).toEqual([...pauses.slice(0, 5)].sort((a, b) => a - b));
    expect(pauses[5] ?? 0).toBeGreaterThan(8 * (pauses[0] ?? 0));
  });

  it('a pause is as long as CloudStack asks for, within reason', async () => {
    for (const [asked, waited] of [
      [90 * SECOND_MS, 90 * SECOND_MS],
      [11 * 24 * 60 * MINUTE_MS, LIMITS.RETRY_AFTER_CAP_MS],
    ] as const) {
      const rig = await Rig.start();
      const at: number[] = [];
      rig.onSend = () => void at.push(rig.clock.monotonic());
      rig.model.faults.add({ command: 'attachVolume', kind: 'status', code: 429, ms: asked });
      const operation = await rig.ended(await attach(rig, (await rig.volume()).id), 20 * MINUTE_MS);
      expect(operation.status).toBe('completed');
      expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(waited);
    }
  });
});

describe('431 that means "not now"', () => {
  const NOW_NOT = 'Please specify a VM that is either running or stopped.';

  it.each([
    ['the call is refused', { kind: 'status', code: 431, text: NOW_NOT }],
    ['its job fails', { kind: 'vm-busy' }],
    ['its job finds no storage yet', { kind: 'no-storage' }],
    ['its job finds no endpoint yet', { kind: 'no-endpoint' }],
    ['its job could not be queued', { kind: 'not-scheduled' }],
    ['its job fails with an unknown text', { kind: 'job-fails', code: 530, text: 'something odd' }],
  ] as const)('%s: it is tried again, and goes through', async (_story, fault) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', times: 2, ...fault });
    expect(await rig.ended(await attach(rig, id))).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(id, 'attach')).toBe(1);
  });

  it.each(['no-storage', 'no-endpoint', 'not-scheduled'] as const)(
    'its job finds a server that has just started (%s): tried for a minute',
    async (kind) => {
      for (const times of [5, 1_000]) {
        const rig = await Rig.start();
        const { id } = await rig.volume();
        rig.model.faults.add({ command: 'attachVolume', kind, times });
        const begun = rig.clock.monotonic();
        const { status } = await rig.ended(await attach(rig, id));
        expect(status).toBe(times === 5 ? 'completed' : 'failed');
        const withinMs = LIMITS.SERVER_START_MS + LIMITS.RETRY_CAP_MS + SECOND_MS;
        expect(rig.clock.monotonic() - begun).toBeLessThan(withinMs);
        expect(rig.calls.length).toBeLessThan(12);
      }
    },
  );

  it.each([
    // QEMU on q35 while a guest still takes the disk in, or is asked to give it up.
    "unable to execute QEMU command 'device_del': Hot-unplug failed: guest is busy (power indicator blinking)",
    // CloudStack before 4.17.
    'Could not detach volume. Probably the VM is in boot state at the moment',
    // libvirt during a backup or while a storage is moved.
    "block copy still active: disk 'vdb' already in active block job",
    'Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainMigratePerform3Params)',
  ])(
    'the hypervisor says that the VM is at something else for now (%s): as patient as with CloudStack',
    async (said) => {
      const rig = await Rig.start();
      const volume = await rig.volume({ vmId: rig.here, mapped: true });
      const text = `Failed to detach volume ${volume.id} from VM v; org.libvirt.LibvirtException: ${said}`;
      rig.model.faults.add({ command: 'detachVolume', kind: 'job-fails', code: 530, text, times: 7 });
      const operation = await rig.request('detach', { volume_id: volume.id });
      expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
      expect(volume.vmId).toBeNull();
    },
  );

  it.each([30 * SECOND_MS, 5 * MINUTE_MS])(
    'a guest gives the disk up only after %i ms: the detach goes on asking, and its export stays closed',
    async (ms) => {
      const rig = await Rig.start({ model: { latencies: { detach: 10 * SECOND_MS } } });
      const volume = await rig.volume({ vmId: rig.here, mapped: true });
      rig.model.faults.add({ command: 'detachVolume', kind: 'detach-timeout', ms });
      const operation = await rig.request('detach', { volume_id: volume.id });
      await rig.untilSent('detachVolume');
      await rig.pass(ms);
      expect([(await rig.operation(operation)).status, rig.exported(volume.id)]).toEqual([
        'executing',
        false,
      ]);
      expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
      expect(volume.vmId).toBeNull();
    },
  );

  it.each([
    [
      'another 431',
      { kind: 'status', code: 431, text: 'Volume and VM are in different pods.' },
      'CLOUDSTACK_REJECTED',
    ],
    ['no permission', { kind: 'status', code: 531, text: 'not yours' }, 'CLOUDSTACK_REJECTED'],
    ['no quota', { kind: 'status', code: 535, text: 'Maximum' }, 'CLOUDSTACK_QUOTA'],
    [
      'its job says that it will never work',
      { kind: 'job-fails', code: 530, text: 'Attach failed, they belong to different accounts' },
      'CLOUDSTACK_JOB_FAILED',
    ],
  ] as const)('%s: final, with the words of CloudStack', async (_story, fault, errorCode) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', times: 10, ...fault });
    const ended = await rig.ended(await attach(rig, id));
    expect(ended).toMatchObject({ status: 'failed', errorCode });
    expect(ended.error).toContain(fault.text);
    expect(rig.calls).toEqual(['attachVolume']);
  });
});
