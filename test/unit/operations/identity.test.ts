import { describe, expect, it } from 'vitest';
import type { Fault } from '~/lab/cloudstack/faults';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { silentLogger as logger } from '~/server/core/log/logger';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import { explainCorrelation } from '~/server/diagnostics/correlation';
import { cleanup, GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

/** A create of 2 GiB named "data". */
async function create(rig: Rig) {
  const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
  return rig.request('create', {
    name: 'data',
    size: 2 * GIB,
    disk_offering_id: offering?.id ?? '',
    zone_id: zone.id,
  });
}

const LOST: readonly [story: string, fault: Omit<Fault, 'command'>, made: number][] = [
  ['its reply is lost after the volume was made', { kind: 'drop-reply-after-effect' }, 1],
  ['it never arrived', { kind: 'fail-before-effect' }, 1],
  ['a load balancer answers 502 after the volume was made', { kind: 'status-after-effect', code: 502 }, 1],
  ['its reply is cut in the middle', { kind: 'garbage' }, 1],
  ['its reply comes after the timeout', { kind: 'late-reply', ms: 40 * SECOND_MS }, 1],
];

describe('whose volume it is, when a create is lost beside a namesake of the same size, zone, offering and minute', () => {
  it.each(LOST)('%s', async (_story, fault, made) => {
    const rig = await Rig.start();
    const foreign = await rig.volume({ size: 2 * GIB, state: 'Allocated' });
    rig.model.faults.add({ command: 'createVolume', ...fault });
    const operation = await rig.ended(await create(rig));
    expect(operation.status).toBe('completed');
    expect(operation.volumeId).not.toBe(foreign.id);
    const job = (await rig.journal(operation.id)).find(({ state }) => state === 'intent')?.data.job_id;
    const ours = rig.model.jobs.get(String(job));
    expect(ours?.instanceId, 'the job of our own intent names it').toBe(operation.volumeId);
    expect(rig.model.effectsOf(operation.volumeId, 'create')).toBe(made);
    // What comes next acts on ours alone.
    expect((await rig.run('delete', { volume_id: operation.volumeId })).status).toBe('completed');
    expect(rig.model.inventory.volume('', '', foreign.id)).toMatchObject({
      removed: false,
      state: 'Allocated',
    });
  });

  it('neither the answer nor the running job names the volume, only the end of the job does: the operation is listed under it', async () => {
    const rig = await Rig.start();
    const { submit } = rig.cloud;
    rig.cloud.submit = async (...call) => ({ ...(await submit.apply(rig.cloud, call)), volumeId: null });
    const operation = await rig.ended(await create(rig));
    expect(operation.status).toBe('completed');
    expect(operation.volumeId).not.toBe('');
    expect(operation.volumeId).toBe(operation.response?.volume_id);
    const found = await rig.ledger.listOperations({ volumeId: operation.volumeId, limit: 10 });
    expect(found.map(({ id }) => id)).toEqual([operation.id]);
  });

  it("a job that ends with the data of another volume makes that one nobody's: what the call was answered with counts", async () => {
    const rig = await Rig.start();
    const foreign = await rig.volume({ size: 2 * GIB, state: 'Allocated' });
    const { queryJob } = rig.cloud;
    rig.cloud.queryJob = async (id) => {
      const job = await queryJob.call(rig.cloud, id);
      return job?.status === 'succeeded' ? { ...job, volumeId: foreign.id } : job;
    };
    const operation = await rig.ended(await create(rig));
    const job = (await rig.journal(operation.id)).find(({ state }) => state === 'intent')?.data.job_id;
    const ours = rig.model.jobs.get(String(job))?.instanceId;
    expect(operation.status).toBe('completed');
    expect([operation.volumeId, operation.response?.volume_id]).toEqual([ours, ours]);
    expect(ours).not.toBe(foreign.id);
  });

  it('every lost send waits for its own denials of the job: those of the send before say nothing of it', async () => {
    const rig = await Rig.start();
    rig.model.faults.add({ command: 'createVolume', kind: 'fail-before-effect', times: 3 });
    const sentAt: number[] = [];
    rig.onSend = () => void sentAt.push(rig.clock.monotonic());
    const operation = await rig.ended(await create(rig), 10 * MINUTE_MS);
    expect(operation.status).toBe('completed');
    expect(sentAt).toHaveLength(4);
    for (const [index, at] of sentAt.slice(1).entries())
      expect(at - (sentAt[index] ?? 0)).toBeGreaterThanOrEqual(30 * SECOND_MS);
  });

  /** Namesakes of every kind, none of which the lost call can have made. */
  async function strangers(rig: Rig): Promise<string[]> {
    const { id: accountId } = rig.model.accounts.require('other');
    const made = [
      await rig.volume({ size: 2 * GIB, state: 'Allocated' }),
      await rig.volume({ size: 2 * GIB, state: 'Allocated', accountId }),
      await rig.volume({ size: 2 * GIB, state: 'Allocated', name: 'DATA' }),
      await rig.volume({ size: 2 * GIB, vmId: rig.vm('Running') }),
    ];
    return made.map(({ id }) => id);
  }

  it('reply and job are both lost: CloudStack says that it has had the job, so no more are made, and only what the calls left behind is named', async () => {
    const rig = await Rig.start();
    const others = await strangers(rig);
    const before = rig.model.volumes.length;
    rig.model.faults.add({ command: 'createVolume', kind: 'drop-reply-after-effect' });
    rig.model.faults.add({ command: 'createVolume', kind: 'lose-job' });
    // Somebody makes one of that name at the very same time, and uses it.
    rig.onSend = () => {
      rig.onSend = () => {};
      void rig.volume({ size: 2 * GIB, vmId: rig.vm('Running') }).then(({ id }) => others.push(id));
    };
    const operation = await rig.ended(await create(rig), 10 * MINUTE_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(operation.volumeId).toBe('');
    const ours = rig.model.volumes
      .slice(before)
      .filter(({ name, id, type }) => name === 'data' && type === 'DATADISK' && !others.includes(id))
      .map(({ id }) => id);
    const left = ours.sort();
    expect(left.length).toBeGreaterThan(0);
    expect(operation.response?.unclaimed).toEqual(expect.arrayContaining(left));
    expect(operation.response?.unclaimed).toHaveLength(left.length);
    const { drifts } = await rig.sync();
    const reported = drifts.filter(({ kind }) => kind === 'unclaimed-volume').map(({ volumeId }) => volumeId);
    expect(reported.sort()).toEqual(left);
    expect(rig.calls).not.toContain('deleteVolume');
  });

  it('names what the calls left behind also when the clock of this machine was hours ahead', async () => {
    const rig = await Rig.start();
    const others = await strangers(rig);
    rig.model.faults.add({ command: 'createVolume', kind: 'drop-reply-after-effect' });
    rig.model.faults.add({ command: 'createVolume', kind: 'lose-job' });
    rig.clock.set(120 * MINUTE_MS);
    // Set right before CloudStack, whose clock was, makes the volume.
    rig.onSend = () => {
      rig.onSend = () => {};
      rig.clock.set(-120 * MINUTE_MS);
    };
    const operation = await rig.ended(await create(rig), 10 * MINUTE_MS);
    expect(operation.errorCode).toBe('CLOUDSTACK_OUTCOME_UNKNOWN');
    const left = rig.model.volumes
      .filter(({ name, id, type }) => name === 'data' && type === 'DATADISK' && !others.includes(id))
      .map(({ id }) => id);
    expect(left.length).toBeGreaterThan(0);
    expect(operation.response?.unclaimed).toEqual(expect.arrayContaining(left));
    expect(operation.response?.unclaimed).toHaveLength(left.length);
  });

  it('a daemon that dies between the call and its answer finds the volume by its job, not by its name', async () => {
    const rig = await Rig.start();
    await rig.volume({ size: 2 * GIB, state: 'Allocated' });
    rig.model.faults.add({ command: 'createVolume', kind: 'late-reply', ms: 20 * SECOND_MS });
    const id = await create(rig);
    await rig.untilSent('createVolume');
    await rig.restart();
    const operation = await rig.ended(id);
    expect(operation).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(operation.volumeId, 'create')).toBe(1);
    expect(rig.calls).toEqual(['createVolume']);
  });
});

describe('names of others', () => {
  /** A volume called "data" that a root key sees and that belongs to another tenant. */
  async function withTenant(names: 'warn' | 'unique') {
    const rig = await Rig.start({ policy: { volumeNames: names } });
    const { id } = rig.model.accounts.require('other');
    return { rig, foreign: await rig.volume({ size: 2 * GIB, accountId: id }) };
  }

  it.each(['warn', 'unique'] as const)('are no conflict of ours (VOLUME_NAMES=%s)', async (names) => {
    const { rig, foreign } = await withTenant(names);
    const operation = await rig.ended(await create(rig));
    expect(operation).toMatchObject({ status: 'completed' });
    expect(operation.response).not.toHaveProperty('warnings');
    expect(operation.volumeId).not.toBe(foreign.id);
  });

  it.each(['DATA', 'datä', 'data '])('CloudStack finds "%s" as well, which is another name', async (name) => {
    const rig = await Rig.start({ policy: { volumeNames: 'unique' } });
    await rig.volume({ name });
    expect(await rig.ended(await create(rig))).toMatchObject({ status: 'completed' });
  });

  it('are a warning, or a refusal, where they are our own account’s', async () => {
    for (const volumeNames of ['warn', 'unique'] as const) {
      const rig = await Rig.start({ policy: { volumeNames } });
      const { id } = await rig.volume();
      const operation = await rig.ended(await create(rig));
      if (volumeNames === 'warn') expect(operation.response?.warnings).toEqual([expect.stringContaining(id)]);
      else expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NAME_EXISTS' });
    }
  });
});

describe('what a create needs', () => {
  const NOBODY = '99999999-9999-4999-8999-999999999999';

  it.each([
    ['zone_id', 'ZONE_NOT_FOUND'],
    ['disk_offering_id', 'DISK_OFFERING_NOT_FOUND'],
  ])('a %s that is not there: %s, and nothing is sent', async (field, errorCode) => {
    const rig = await Rig.start();
    const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
    const request = { name: 'data', size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id };
    const operation = await rig.run('create', { ...request, [field]: NOBODY });
    expect(operation).toMatchObject({ status: 'failed', errorCode });
    expect(rig.calls).toEqual([]);
  });

  it('a new volume that goes out of sight: it is named, and not called missing', async () => {
    const rig = await Rig.start();
    const id = await create(rig);
    await rig.untilSent('createVolume');
    rig.hide(rig.model.volumes.at(-1)?.id ?? '');
    const operation = await rig.ended(id);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
    expect(operation.volumeId).toBe(rig.model.volumes.at(-1)?.id);
    expect(rig.calls).toEqual(['createVolume']);
  });
});

describe('an operation whose type cannot be read', () => {
  it('counts as an attach where disks have no serial: no other disk is attached while its own may come', async () => {
    const rig = await Rig.start({
      guest: { serials: false },
      model: { latencies: { attach: 20 * SECOND_MS } },
    });
    const [first, second] = [await rig.volume(), await rig.volume()];
    const spoilt = await rig.request('attach', { volume_id: first.id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    const { resumable } = rig.ledger;
    rig.ledger.resumable = async (epoch) =>
      (await resumable.call(rig.ledger, epoch)).map((operation) => ({
        ...operation,
        type: 'unreadable',
        request: {},
        held: 'its type is not known',
      }));
    await rig.restart();
    const id = await rig.request('attach', { volume_id: second.id, vm_id: rig.here });
    await rig.pass(60 * SECOND_MS);
    expect(first.vmId).toBe(rig.here);
    expect(rig.calls).toEqual(['attachVolume']);
    expect((await rig.operation(id)).waitReason).toBe(
      `operation ${spoilt} attaches another disk, which could not be told from this one`,
    );
  });
});

describe('two volumes whose ids begin alike, so that their disks have one serial', () => {
  const IDS = ['7d21b6e0-93fa-4c18-8b57-a9b8c7d6e5f4', '7d21b6e0-93fa-4c18-8b57-000000000000'] as const;

  it('attached at once: the second waits for the first, and never gets the disk of either', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 2 * SECOND_MS } } });
    const [first, second] = [await rig.volume({ id: IDS[0] }), await rig.volume({ id: IDS[1] })];
    const requests = [first, second].map(({ id }) =>
      rig.request('attach', { volume_id: id, vm_id: rig.here }),
    );
    const ids = await Promise.all(requests);
    const ended = await Promise.all(ids.map((id) => rig.ended(id)));
    expect(ended).toMatchObject([
      { status: 'completed' },
      { status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' },
    ]);
    const mappings = await rig.ledger.listMappings(rig.here);
    expect(mappings.map(({ volumeId }) => volumeId)).toEqual([first.id]);
    expect(mappings[0]?.devicePath).toBe(rig.guest.devicePath(first.id));
  });

  it('attached by hand, while only the disk of one has come: an attach of the other is not given that one', async () => {
    const rig = await Rig.start();
    const first = await rig.volume({ id: IDS[0] });
    const second = await rig.volume({ id: IDS[1], vmId: rig.here });
    rig.plugInto(first, rig.here);
    const operation = await rig.run('attach', { volume_id: first.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_AMBIGUOUS' });
    expect(await rig.ledger.listMappings(rig.here)).toEqual([]);
    expect(second.vmId).toBe(rig.here);
  });

  it('alike only as far as a cut serial shows them: an attach of the other is not given that disk either', async () => {
    const rig = await Rig.start();
    const first = await rig.volume({ id: IDS[0] });
    const [id, serial] = ['7d21b6e0-93fa-4c18-8aaa-000000000000', '7d21b6e0-93fa-4c18-8'];
    await rig.volume({ id, vmId: rig.here, serial });
    rig.plugInto(first, rig.here);
    const operation = await rig.run('attach', { volume_id: first.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_AMBIGUOUS' });
    expect(await rig.ledger.listMappings(rig.here)).toEqual([]);
  });

  it('attached by hand, while only the disk of one has come: the explanation says what an attach would do', async () => {
    const rig = await Rig.start();
    const first = await rig.volume({ id: IDS[0] });
    await rig.volume({ id: IDS[1], vmId: rig.here });
    rig.plugInto(first, rig.here);
    const { guest, clock, cloud, ledger, here: applianceVmId } = rig;
    const watcher = new DeviceWatcher({ guest, clock, logger, inventory: createMemoryInventory() });
    await watcher.scan();
    const parts = {
      cloud,
      ledger,
      watcher,
      clock,
      applianceVmId,
      toleranceBytes: 3 * GIB,
      attaching: () => [],
    };
    for (const id of IDS) {
      const { answer } = await explainCorrelation(parts, id);
      expect(answer).toMatchObject({ kind: 'refused', code: 'DEVICE_AMBIGUOUS' });
    }
  });

  it('the explanation goes by the last attach, of a cleanup too, and by none that was to another VM', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const [there, cloud] = [rig.vm('Stopped'), rig.cloud];
    const { guest, clock, ledger, here: applianceVmId } = rig;
    const watcher = new DeviceWatcher({ guest, clock, logger, inventory: createMemoryInventory() });
    const parts = {
      cloud,
      ledger,
      watcher,
      clock,
      applianceVmId,
      toleranceBytes: 3 * GIB,
      attaching: () => [],
    };
    const submitted = async () => (await explainCorrelation(parts, id)).submittedAt;
    const sentBy = async (operationId: string) =>
      (await rig.journal(operationId)).find(
        ({ step, state }) => step === 'attach-volume' && state === 'intent',
      )?.at ?? 'never';
    const first = await rig.run('attach', { volume_id: id, vm_id: rig.here });
    expect(await submitted()).toBe(await sentBy(first.id));
    await rig.run('detach', { volume_id: id });
    await rig.run('attach', { volume_id: id, vm_id: there });
    expect(await submitted()).toBeNull();
    const back = await rig.run('cleanup', cleanup(rig, id, there));
    expect(back.status).toBe('completed');
    expect(await submitted()).toBe(await sentBy(back.id));
  });

  it('attached by hand, while only the disk of one has come: sync takes it for nobody’s', async () => {
    const rig = await Rig.start();
    const first = await rig.volume({ id: IDS[0] });
    const second = await rig.volume({ id: IDS[1], vmId: rig.here });
    rig.plugInto(first, rig.here);
    await rig.sync();
    expect(await rig.ledger.listMappings(rig.here)).toEqual([]);
    expect(second.vmId).toBe(rig.here);
  });
});
