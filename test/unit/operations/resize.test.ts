import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { followSize } from '~/server/operations/decide/follow-size';
import type { Facts } from '~/server/operations/decision';
import { GIB, MINUTE_MS, Rig } from './rig';
import { APPLIANCE, device, found, mapping, OTHER_VM, rowOf, situation, VOLUME, volume } from './situations';

describe('a resize', () => {
  it('makes a detached volume larger, in whole GiB, once', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    const ended = await rig.run('resize', { volume_id: volume.id, size: 7 * GIB + 1 });
    expect(ended).toMatchObject({
      status: 'completed',
      response: { size: 8 * GIB, size_requested: 7 * GIB + 1, message: 'Volume resized successfully' },
    });
    expect([volume.size, rig.model.effectsOf(volume.id, 'resize')]).toEqual([8 * GIB, 1]);
  });

  it('of an exported volume is followed by its mapping in the same moment, and the export stays', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    const ended = await rig.run('resize', { volume_id: volume.id, size: 6 * GIB });
    expect(ended.response).not.toHaveProperty('warnings');
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ size: 6 * GIB, linuxState: 'detected' });
    expect(rig.exported(volume.id)).toBe(true);
  });

  it('that the guest does not show is said, and the mapping keeps the size that fits', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    rig.guest.resize = async () => {};
    const ended = await rig.run('resize', { volume_id: volume.id, size: 6 * GIB });
    expect(ended).toMatchObject({
      status: 'completed',
      response: { warnings: [expect.stringContaining('does not show the new size')] },
    });
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ size: 5 * GIB });
    await rig.pass(MINUTE_MS);
    await rig.sync();
    expect(rig.exported(volume.id)).toBe(false);
  });

  it('that has ended well is told so, also where the volume goes out of sight while the guest is waited for', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    rig.guest.resize = async () => {};
    rig.domain.events.onEntry(({ step, state }) => {
      if (step === 'resize-volume' && state === 'finished')
        void rig.clock.sleep(LIMITS.RESIZE_SETTLE_MS / 2).then(() => rig.hide(id));
    });
    expect(await rig.run('resize', { volume_id: id, size: 6 * GIB })).toMatchObject({
      status: 'completed',
      response: { size: 6 * GIB, warnings: [expect.stringContaining('does not show the new size')] },
    });
  });

  it.each<['resize' | 'revert', string]>([
    ['resize', 'it is expunged'],
    ['resize', 'it goes out of sight'],
    ['revert', 'it is expunged'],
    ['revert', 'it goes out of sight'],
  ])('(here: a %s) that has ended well is done, also where %s right after its job', async (type, then) => {
    const rig = await Rig.start();
    const volume = await rig.volume({ hypervisor: 'KVM' });
    const taken = await rig.run('snapshot', { volume_id: volume.id, name: 'before' });
    rig.domain.events.onEntry(({ step, state }) => {
      if (step !== `${type}-volume` || state !== 'finished') return;
      if (then === 'it is expunged') rig.purge(volume.id);
      else rig.hide(volume.id);
    });
    const ended =
      type === 'resize'
        ? await rig.run('resize', { volume_id: volume.id, size: 6 * GIB })
        : await rig.run('revert', {
            volume_id: volume.id,
            snapshot_id: String(taken.response?.snapshot_id),
          });
    expect(ended).toMatchObject({
      status: 'completed',
      response: { size: type === 'resize' ? 6 * GIB : null, warnings: [expect.any(String)] },
    });
  });

  it('on another VM is followed by the mapping, too', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    const vmId = rig.vm('Running');
    await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
    await rig.run('resize', { volume_id: volume.id, size: 6 * GIB });
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ vmId, size: 6 * GIB });
  });

  it.each([
    ['smaller than the volume', 4 * GIB, 'failed', 'VOLUME_WOULD_SHRINK'],
    ['as large as the volume', 5 * GIB, 'completed', null],
    ['a little less, which whole GiB make the same', 5 * GIB - 1, 'completed', null],
  ])('to a size %s sends nothing', async (_story, size, status, errorCode) => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    expect(await rig.run('resize', { volume_id: volume.id, size })).toMatchObject({ status, errorCode });
    expect([rig.calls, volume.size]).toEqual([[], 5 * GIB]);
  });

  it('is not sent when somebody has made the volume larger meanwhile: it would shrink it', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.loseThen('resizeVolume', () => {
      volume.size = 9 * GIB;
    });
    const ended = await rig.run('resize', { volume_id: volume.id, size: 6 * GIB });
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_WOULD_SHRINK' });
    expect([rig.calls, volume.size]).toEqual([['resizeVolume'], 9 * GIB]);
  });

  it('whose answer is lost is found by its job, and one whose job is lost by the size', async () => {
    for (const kind of ['drop-reply-after-effect', 'lose-job'] as const) {
      const rig = await Rig.start();
      const volume = await rig.volume();
      rig.model.faults.add({ command: 'resizeVolume', kind });
      const ended = await rig.run('resize', { volume_id: volume.id, size: 6 * GIB }, 5 * MINUTE_MS);
      expect([kind, ended.status]).toEqual([kind, 'completed']);
      expect(rig.model.effectsOf(volume.id, 'resize')).toBe(1);
    }
  });

  it('whose job fails after its effect is not sent again', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.model.faults.add({ command: 'resizeVolume', kind: 'job-fails-after-effect' });
    const ended = await rig.run('resize', { volume_id: volume.id, size: 6 * GIB });
    expect([ended.status, rig.calls]).toEqual(['completed', ['resizeVolume']]);
  });

  it.each(['Snapshotting', 'Destroy'])(
    'whose job has ended well is done, whatever brings the volume to %s then',
    async (state) => {
      const rig = await Rig.start();
      const volume = await rig.volume();
      const { queryJob } = rig.cloud;
      rig.cloud.queryJob = async (jobId) => {
        const job = await queryJob.call(rig.cloud, jobId);
        if (job?.status === 'succeeded') volume.state = state;
        return job;
      };
      const ended = await rig.run('resize', { volume_id: volume.id, size: 6 * GIB });
      expect(ended).toMatchObject({ status: 'completed', response: { size: 6 * GIB } });
    },
  );

  it('that the agent refuses is tried again, and in the end says why', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.model.faults.add({ command: 'resizeVolume', kind: 'agent-fails', times: 99, text: 'no space' });
    const ended = await rig.run('resize', { volume_id: volume.id, size: 6 * GIB });
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_JOB_FAILED' });
    expect(ended.error).toContain('no space');
  });

  it('survives a crash at any moment with one effect', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    const id = await rig.request('resize', { volume_id: volume.id, size: 6 * GIB });
    await rig.untilSent('resizeVolume');
    await rig.restart();
    expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(volume.id, 'resize')).toBe(1);
  });

  it('of a volume that is nowhere says so', async () => {
    const rig = await Rig.start();
    const gone = '99999999-9999-4999-8999-999999999999';
    expect(await rig.run('resize', { volume_id: gone, size: GIB })).toMatchObject({
      status: 'failed',
      errorCode: 'VOLUME_NOT_FOUND',
    });
    const volume = await rig.volume();
    rig.hide(volume.id);
    expect(await rig.run('resize', { volume_id: volume.id, size: 6 * GIB })).toMatchObject({
      errorCode: 'VOLUME_NOT_VISIBLE',
    });
    expect(rig.calls).toEqual([]);
  });
});

describe('the row of a volume whose size has changed', () => {
  const grown = { size: 6 * GIB };
  const here = mapping();
  const there = mapping({ vmId: OTHER_VM });
  const followed = (vmId: string, facts: Facts, size: number | null = grown.size) =>
    followSize(
      situation('resize', { volume_id: VOLUME, size: grown.size }, { facts }),
      volume({ vmId, size }),
    );
  const neighbour = (runs: boolean) => new Map([[OTHER_VM, { vmId: OTHER_VM, owner: 'theirs', runs }]]);

  it('takes the size that its own disk shows', () => {
    const facts = { mapping: rowOf(here), device: { ...found, device: device(grown) } };
    const effects = [{ kind: 'put-mapping', mapping: { ...here, ...grown } }];
    expect(followed(APPLIANCE, facts)).toMatchObject({ do: 'done', result: { effects } });
  });

  it.each<[story: string, vmId: string, facts: Facts, size?: null]>([
    [
      'another disk has the path',
      APPLIANCE,
      { mapping: rowOf(here), device: { ...found, device: device({ ...grown, diskseq: 8 }) } },
    ],
    [
      'the disk has another path',
      APPLIANCE,
      { mapping: rowOf(here), device: { ...found, device: device({ ...grown, path: '/dev/vdc' }) } },
    ],
    [
      'the guest has booted since',
      APPLIANCE,
      { mapping: rowOf(here), device: { ...found, bootId: 'next', device: device(grown) } },
    ],
    [
      'its disk is told from others by the size',
      APPLIANCE,
      { mapping: rowOf(mapping({ serial: null })), device: { ...found, device: device(grown) } },
    ],
    [
      'it names another VM than CloudStack',
      APPLIANCE,
      { mapping: rowOf(there), neighbours: neighbour(false) },
    ],
    ['the daemon of that VM runs', OTHER_VM, { mapping: rowOf(there), neighbours: neighbour(true) }],
    [
      'CloudStack does not say the size',
      OTHER_VM,
      { mapping: rowOf(there), neighbours: neighbour(false) },
      null,
    ],
  ])('stays as it is where %s', (_story, vmId, facts, size) => {
    expect(followed(vmId, facts, size)).toMatchObject({ do: 'done', result: { effects: [] } });
  });
});
