import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fault } from '~/lab/cloudstack/faults';
import type { CloudModel, ModelOptions } from '~/lab/cloudstack/model';
import { DOMAIN_ID } from '~/lab/cloudstack/state/accounts';
import {
  type Cloud,
  type CloudCommand,
  CloudError,
  type CloudJob,
  type CloudOwner,
} from '~/server/cloudstack/cloud';
import { LIMITS } from '~/server/core/limits';
import type { Evidence } from '~/server/model/evidence';
import { content } from './cloud-content';

export interface CloudUnderTest {
  readonly cloud: Cloud;
  /** What is behind it, for the truth and for faults. */
  readonly model: CloudModel;
  stop(): Promise<void>;
}

export type StartCloud = (options?: Partial<ModelOptions>) => Promise<CloudUnderTest>;

const GIB = 1024 ** 3;
const NOBODY = '99999999-9999-4999-8999-999999999999';
const QUICK = { create: 5, attach: 5, detach: 5, remove: 5, vm: 5 };

/** The promises of the CloudStack port, kept by the client over HTTP and by the model in process alike. */
export function cloudContract(name: string, start: StartCloud): void {
  describe(`the CloudStack port: ${name}`, () => {
    let world: World;
    beforeAll(async () => {
      world = new World(await start({ latencies: QUICK }));
    });
    afterAll(() => world?.under.stop());

    reads(() => world);
    volumes(() => world);
    machines(() => world);
    content(() => world);
    faults(() => world);
    limits(start);
    owners(start);
  });
}

/** The port with the everyday calls of a test. */
class World {
  constructor(readonly under: CloudUnderTest) {}

  get cloud(): Cloud {
    return this.under.cloud;
  }

  get model(): CloudModel {
    return this.under.model;
  }

  createCommand(volumeName: string, sizeGiB: number | null = 1): CloudCommand {
    const [zone, offering] = [this.model.inventory.firstZone(), this.model.offerings[0]];
    const diskOfferingId = offering?.id ?? '';
    return { name: 'createVolume', volumeName, zoneId: zone.id, diskOfferingId, sizeGiB, owner: null };
  }

  /** Submits and waits for the end of the job. */
  async done(command: CloudCommand, jobId = randomUUID()): Promise<CloudJob> {
    await this.cloud.submit(command, jobId);
    return this.ended(jobId);
  }

  async ended(jobId: string): Promise<CloudJob> {
    for (;;) {
      const job = await this.cloud.queryJob(jobId);
      if (!job) throw new Error(`nobody knows job ${jobId}`);
      if (job.status !== 'pending') return job;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async create(volumeName: string): Promise<string> {
    return (await this.done(this.createCommand(volumeName))).volumeId ?? '';
  }

  attach(volumeId: string, vmId = this.model.applianceVmId): CloudCommand {
    return { name: 'attachVolume', volumeId, vmId, deviceId: null };
  }
}

/** What CloudStack shows; an Error when it does not show it. */
function shown<T>(evidence: Evidence<T>): T {
  if (evidence.kind === 'seen') return evidence.value;
  throw new Error(`it is ${evidence.kind}`);
}

function ownerOf({ name }: CloudModel['account']): CloudOwner {
  return { projectId: null, account: name, domainId: DOMAIN_ID };
}

async function refused(call: Promise<unknown>): Promise<CloudError> {
  const error = await call.then(
    (value) => new Error(`it succeeded: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof CloudError) return error;
  throw error;
}

function reads(the: () => World): void {
  it('says its version and its limits', async () => {
    expect(await the().cloud.capabilities()).toEqual({
      version: '4.20.0.0',
      customDiskMinGiB: 1,
      customDiskMaxGiB: 1024,
      mayExpungeVms: true,
      mayExpungeVolumes: true,
      seesDestroyedVms: true,
    });
  });

  it("says how many data disks a VM may have by its hypervisor's limit, and not of a VM that it does not show", async () => {
    const { cloud, model } = the();
    expect(await cloud.dataDiskLimit(model.applianceVmId)).toMatchObject({ kind: 'seen', value: 32 });
    expect(await cloud.dataDiskLimit('00000000-0000-4000-8000-0000000000ff')).toMatchObject({
      kind: 'unknown',
    });
  });

  it('finds a zone by id in any case and by name; unknown ones are null', async () => {
    const { cloud, model } = the();
    const { id, name } = model.inventory.firstZone();
    const zone = { id, name, allocationState: 'Enabled' };
    expect(await cloud.listZones()).toEqual([zone]);
    expect([
      await cloud.readZone(id),
      await cloud.readZone(id.toUpperCase()),
      await cloud.readZone(name),
    ]).toEqual([zone, zone, zone]);
    expect([await cloud.readZone(NOBODY), await cloud.readZone('nowhere')]).toEqual([null, null]);
  });

  it('finds a disk offering by id; unknown ones are null', async () => {
    const { cloud, model } = the();
    const offerings = model.offerings.map((offering) => ({ ...offering }));
    expect(await cloud.listDiskOfferings()).toEqual(offerings);
    expect(await cloud.readDiskOffering(offerings[1]?.id.toUpperCase() ?? '')).toEqual(offerings[1]);
    expect(await cloud.readDiskOffering(NOBODY)).toBeNull();
  });

  it('finds a VM by id; one that never was is absent', async () => {
    const { cloud, model } = the();
    const id = model.applianceVmId;
    const vm = {
      id,
      name: 'appliance',
      state: 'Running',
      zoneId: model.inventory.firstZone().id,
      hypervisor: 'KVM',
      created: expect.any(String),
      owner: ownerOf(model.account),
    };
    const found = { kind: 'seen', value: vm, at: expect.any(Number), by: 'cloudstack' };
    expect([await cloud.readVm(id), await cloud.readVm(id.toUpperCase())]).toEqual([found, found]);
    expect(await cloud.readVm(NOBODY)).toMatchObject({ kind: 'absent', by: 'cloudstack' });
  });

  it('a VM and the root disk that it came with were made at the same time', async () => {
    const { cloud, model } = the();
    const vm = await cloud.readVm(model.applianceVmId);
    const [root] = await cloud.listVolumes({ vmId: model.applianceVmId });
    if (vm.kind !== 'seen') throw new Error('it is not seen');
    expect(root?.type).toBe('ROOT');
    const [made, madeWith] = [root?.created, vm.value.created].map((at) => Date.parse(at ?? ''));
    expect(Math.abs((made ?? 0) - (madeWith ?? 0))).toBeLessThanOrEqual(LIMITS.MADE_WITH_VM_MS);
  });

  it('a volume that never was is absent, a job that never was is denied', async () => {
    const { cloud } = the();
    expect(await cloud.readVolume(NOBODY)).toMatchObject({ kind: 'absent', by: 'cloudstack' });
    expect(await cloud.queryJob(NOBODY)).toBeNull();
  });

  it('what belongs to somebody who is out of sight is unknown, never absent', async () => {
    const world = the();
    const volumeId = await world.create('hidden');
    const vm = world.model.addVm({ name: 'hidden-vm' });
    for (const id of [volumeId, vm.id]) world.model.conditions.add({ kind: 'hidden', id });
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ kind: 'unknown', by: 'cloudstack' });
    expect(await world.cloud.readVm(vm.id)).toMatchObject({ kind: 'unknown', by: 'cloudstack' });
    expect((await world.cloud.listVolumes({})).map(({ id }) => id)).not.toContain(volumeId);
    world.model.conditions.clear();
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ kind: 'seen' });
  });

  it('lists volumes by name (as a whole, whatever its case), zone and VM', async () => {
    const world = the();
    const { cloud, model } = world;
    const ids = [await world.create('Listed'), await world.create('listed'), await world.create('listed-2')];
    const found = await cloud.listVolumes({ name: 'LISTED', zoneId: model.inventory.firstZone().id });
    expect(found.map(({ id }) => id).sort()).toEqual(ids.slice(0, 2).sort());
    await world.done(world.attach(ids[2] ?? ''));
    const attached = await cloud.listVolumes({ vmId: model.applianceVmId });
    expect(attached.map(({ id, type }) => [id, type])).toEqual([
      [expect.any(String), 'ROOT'],
      [ids[2], 'DATADISK'],
    ]);
    expect(await cloud.listVolumes({ name: 'unheard-of' })).toEqual([]);
    for (const filter of [{ vmId: NOBODY }, { zoneId: NOBODY }])
      expect(await refused(cloud.listVolumes(filter))).toMatchObject({
        kind: 'parameter',
        outcome: 'final',
        code: 431,
      });
    await world.done({ name: 'detachVolume', volumeId: ids[2] ?? '' });
  });
}

function volumes(the: () => World): void {
  it('creates under our job id, and shows the volume as it is', async () => {
    const world = the();
    const jobId = randomUUID();
    const { jobId: accepted, volumeId } = await world.cloud.submit(world.createCommand('created', 3), jobId);
    expect(accepted).toBe(jobId);
    expect(await world.ended(jobId)).toEqual({
      jobId,
      status: 'succeeded',
      errorCode: null,
      errorText: null,
      volumeId,
      snapshotId: null,
    });
    const truth = world.model.volumes.find(({ id }) => id === volumeId);
    expect(shown(await world.cloud.readVolume(volumeId?.toUpperCase() ?? ''))).toEqual({
      id: volumeId,
      name: 'created',
      type: 'DATADISK',
      state: 'Allocated',
      size: 3 * GIB,
      zoneId: world.model.inventory.firstZone().id,
      zoneName: 'zone-1',
      diskOfferingId: world.model.offerings[0]?.id,
      vmId: null,
      vmName: null,
      vmState: null,
      deviceId: null,
      owner: ownerOf(world.model.account),
      created: new Date(Math.floor((truth?.created ?? 0) / 1000) * 1000).toISOString(),
      attached: null,
      deleteProtection: false,
    });
  });

  it.each<[why: string, change: Partial<Extract<CloudCommand, { name: 'createVolume' }>>, text: string]>([
    ['a zone that is not there', { zoneId: NOBODY }, 'Invalid parameter zoneid'],
    ['an offering that is not there', { diskOfferingId: NOBODY }, 'Invalid parameter diskofferingid'],
    ['no size where one is needed', { sizeGiB: null }, 'requires a custom size'],
    ['a size out of range', { sizeGiB: 5_000 }, 'is out of allowed range'],
  ])('refuses to create with %s', async (_why, change, text) => {
    const world = the();
    const command = { ...world.createCommand('refused'), ...change } as CloudCommand;
    const error = await refused(world.cloud.submit(command, randomUUID()));
    expect([error.kind, error.outcome, error.code, error.transient]).toEqual([
      'parameter',
      'final',
      431,
      false,
    ]);
    expect(error.message).toContain(text);
    expect(world.model.volumes.filter(({ name }) => name === 'refused')).toEqual([]);
  });

  it('a create whose job id is taken is reported as sent before, and leaks a volume as the real one does', async () => {
    const world = the();
    const jobId = randomUUID();
    await world.cloud.submit(world.createCommand('twice'), jobId);
    const error = await refused(world.cloud.submit(world.createCommand('twice'), jobId));
    expect([error.kind, error.outcome]).toEqual(['internal', 'taken']);
    expect(world.model.volumes.filter(({ name }) => name === 'twice')).toHaveLength(2);
    await world.ended(jobId);
  });

  it('a job id whose job has ended: 530, of which nobody may conclude that nothing happened', async () => {
    const world = the();
    const jobId = randomUUID();
    await world.done(world.createCommand('again'), jobId);
    const error = await refused(world.cloud.submit(world.createCommand('again'), jobId));
    expect([error.kind, error.code, error.text]).toEqual(['internal', 530, 'Entity already exists']);
    expect(['unknown', 'taken']).toContain(error.outcome);
    expect(world.model.volumes.filter(({ name }) => name === 'again')).toHaveLength(2);
  });

  it('an attach whose job id is taken is reported as sent before, and happens once', async () => {
    const world = the();
    const volumeId = await world.create('attached-twice');
    const jobId = randomUUID();
    await world.cloud.submit(world.attach(volumeId), jobId);
    expect(await refused(world.cloud.submit(world.attach(volumeId), jobId))).toMatchObject({
      outcome: 'taken',
    });
    await world.ended(jobId);
    expect(world.model.effectsOf(volumeId, 'attach')).toBe(1);
    await world.done({ name: 'detachVolume', volumeId });
  });

  it('attaches, shows where, detaches', async () => {
    const world = the();
    const volumeId = await world.create('moved');
    expect(await world.done(world.attach(volumeId))).toMatchObject({ status: 'succeeded', volumeId });
    expect(shown(await world.cloud.readVolume(volumeId))).toMatchObject({
      vmId: world.model.applianceVmId,
      vmName: 'appliance',
      vmState: 'Running',
      deviceId: expect.any(Number),
      state: 'Ready',
      attached: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/),
    });
    expect(await world.done({ name: 'detachVolume', volumeId })).toMatchObject({ status: 'succeeded' });
    expect(shown(await world.cloud.readVolume(volumeId))).toMatchObject({
      vmId: null,
      vmState: null,
      vmName: null,
      deviceId: null,
    });
  });

  it('what cannot be attached or detached fails inside the job, with the text of CloudStack', async () => {
    const world = the();
    const volumeId = await world.create('stubborn');
    const detach: CloudCommand = { name: 'detachVolume', volumeId };
    const failure = { status: 'failed', errorCode: 431, volumeId };
    expect(await world.done(detach)).toMatchObject({
      ...failure,
      errorText: 'The specified volume is not attached to a VM.',
    });
    await world.done(world.attach(volumeId));
    expect(await world.done(world.attach(volumeId))).toMatchObject({
      ...failure,
      errorText: 'Please specify a volume that is not attached to any VM.',
    });
    await world.done(detach);
  });

  it('refuses to attach what does not exist at once', async () => {
    const world = the();
    const volumeId = await world.create('lonely');
    for (const command of [world.attach(NOBODY), world.attach(volumeId, NOBODY)])
      expect(await refused(world.cloud.submit(command, randomUUID()))).toMatchObject({
        kind: 'parameter',
        outcome: 'final',
      });
  });

  it('deletes, and only what is not attached', async () => {
    const world = the();
    const volumeId = await world.create('short-lived');
    await world.done(world.attach(volumeId));
    const error = await refused(world.cloud.deleteVolume(volumeId));
    expect([error.code, error.outcome, error.text]).toEqual([
      431,
      'final',
      'Please specify a volume that is not attached to any VM.',
    ]);
    await world.done({ name: 'detachVolume', volumeId });
    expect(await world.cloud.deleteVolume(volumeId)).toBe('deleted');
    expect(await world.cloud.readVolume(volumeId), 'a list proves nothing').toMatchObject({
      kind: 'unknown',
    });
    expect((await world.cloud.listVolumes({ name: 'short-lived' })).length).toBe(0);
    expect(await world.cloud.deleteVolume(volumeId), 'CloudStack says of this id that it was removed').toBe(
      'gone',
    );
    const detach = await refused(world.cloud.submit({ name: 'detachVolume', volumeId }, randomUUID()));
    expect(detach.text).toMatch(/^Unable to find UUID for id \[\d+\] of type \[Volume\]/);
    expect((await refused(world.cloud.deleteVolume(NOBODY))).code).toBe(431);
    expect(world.model.effectsOf(volumeId, 'delete')).toBe(1);
  });

  it('recovers what was destroyed and not expunged, and only that', async () => {
    const world = the();
    const volumeId = await world.create('thrown-away');
    await world.done(world.attach(volumeId));
    await world.done({ name: 'detachVolume', volumeId });
    const error = await refused(world.cloud.recoverVolume(volumeId));
    expect([error.code, error.outcome, error.text]).toEqual([
      431,
      'final',
      'Please specify a volume in Destroy state.',
    ]);
    await world.done({ name: 'destroyVolume', volumeId, expunge: false });
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ value: { state: 'Destroy' } });
    await world.cloud.recoverVolume(volumeId);
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ value: { state: 'Ready', vmId: null } });
    expect(world.model.effectsOf(volumeId, 'recover')).toBe(1);
    await world.cloud.deleteVolume(volumeId);
    expect((await refused(world.cloud.recoverVolume(volumeId))).text).toMatch(/^Unable to find UUID for id/);
  });
}

function machines(the: () => World): void {
  it('stops and destroys a VM', async () => {
    const world = the();
    const { cloud, model } = world;
    const { id } = model.addVm({ name: 'test-vm' });
    expect(await world.done({ name: 'stopVirtualMachine', vmId: id, forced: false })).toMatchObject({
      status: 'succeeded',
      volumeId: null,
    });
    expect(shown(await cloud.readVm(id))).toMatchObject({ state: 'Stopped' });
    await world.done({ name: 'destroyVirtualMachine', vmId: id, expunge: true });
    expect((await cloud.readVm(id)).kind).toBe('unknown');
    const command: CloudCommand = { name: 'stopVirtualMachine', vmId: NOBODY, forced: false };
    expect(await refused(cloud.submit(command, randomUUID()))).toMatchObject({
      kind: 'parameter',
      outcome: 'final',
    });
  });
}

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

const told = ({ kind, outcome, code }: CloudError) =>
  [kind, outcome, ...(code === null ? [] : [code])].join(' ');

function faults(the: () => World): void {
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

function limits(start: StartCloud): void {
  it('lists more volumes than fit on a page, each once', async () => {
    const { cloud, model, stop } = await start({ latencies: QUICK });
    const zoneId = model.inventory.firstZone().id;
    for (let index = 0; index < 1_100; index += 1)
      model.inventory.addVolume({ name: `v${index}`, size: GIB, zoneId, diskOfferingId: null });
    const listed = await cloud.listVolumes({});
    expect(new Set(listed.map(({ id }) => id)).size).toBe(1_101);
    expect(listed).toHaveLength(1_101);
    await stop();
  });

  it('a quota that is used up is 535, and final', async () => {
    const under = await start({ latencies: QUICK, volumeLimit: 0 });
    const world = new World(under);
    expect(told(await refused(world.cloud.submit(world.createCommand('one too many'), randomUUID())))).toBe(
      'quota final 535',
    );
    await under.stop();
  });
}

/** Whose volumes are, for keys of a user and of a root administrator. */
function owners(start: StartCloud): void {
  const ownerOf = async (cloud: Cloud, vmId: string) => {
    const vm = await cloud.readVm(vmId);
    return vm.kind === 'seen' ? vm.value.owner : null;
  };
  /** Creates for the owner of the VM, attaches to it, and tells whose the volume is. */
  const createFor = async (world: World, vmId: string) => {
    const owner = await world.cloud.newVolumeOwner(await ownerOf(world.cloud, vmId));
    const command = world.createCommand('owned');
    const created = await world.done(command.name === 'createVolume' ? { ...command, owner } : command);
    const volumeId = created.volumeId ?? '';
    expect(await world.done(world.attach(volumeId, vmId))).toMatchObject({ status: 'succeeded' });
    const listed = await world.cloud.listVolumes({ vmId });
    expect(listed.map(({ id }) => id)).toContain(volumeId);
    const volume = await world.cloud.readVolume(volumeId);
    return { named: owner, owner: volume.kind === 'seen' ? volume.value.owner : null };
  };
  const withCloud = async (options: Partial<ModelOptions>, work: (world: World) => Promise<void>) => {
    const under = await start({ latencies: QUICK, ...options });
    try {
      await work(new World(under));
    } finally {
      await under.stop();
    }
  };

  it('a root key creates for the account of the VM', () =>
    withCloud({ account: 'admin' }, async (world) => {
      const { id } = world.model.addVm({
        name: 'theirs',
        accountId: world.model.accounts.require('plain').id,
      });
      const { named, owner } = await createFor(world, id);
      expect([named, owner]).toEqual([owner, expect.objectContaining({ account: 'plain', projectId: null })]);
    }));

  it("a user's key names nobody: what it creates is its own", () =>
    withCloud({ account: 'plain' }, async (world) => {
      const { named, owner } = await createFor(world, world.model.applianceVmId);
      expect([named, owner]).toEqual([null, expect.objectContaining({ account: 'plain', projectId: null })]);
    }));

  it.each(['admin', 'plain'])(
    'a key of %s creates for the project of the VM, and sees what is in it',
    (account) =>
      withCloud({ account }, async (world) => {
        const project = world.model.accounts.addProject('migration', ['plain']);
        const { id } = world.model.addVm({ name: 'in-project', accountId: project.id });
        const { named, owner } = await createFor(world, id);
        const projectId = project.project?.id;
        expect([named, owner]).toEqual([
          expect.objectContaining({ projectId, account: null }),
          expect.objectContaining({ projectId }),
        ]);
        // What belongs to no project is in the same list.
        const own = await world.create('own');
        const ids = (await world.cloud.listVolumes({})).map((volume) => volume.id);
        expect(ids).toContain(own);
      }),
  );

  it('what belongs to another account, or to a project of others, is not shown and not denied', () =>
    withCloud({ account: 'plain' }, async (world) => {
      const { model, cloud } = world;
      const project = model.accounts.addProject('secret', ['other']);
      const theirs = [project.id, model.accounts.require('other').id].map((accountId) =>
        model.addVm({ name: 'theirs', accountId }),
      );
      for (const { id } of theirs) expect((await cloud.readVm(id)).kind).toBe('unknown');
    }));

  it('an owner that is not known is not named', () =>
    withCloud({}, async ({ cloud }) => {
      expect(await cloud.newVolumeOwner(null)).toBeNull();
    }));
}
