import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import type { ErrorCode } from '~/server/core/errors';
import { decideRevert } from '~/server/operations/decide/revert';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';
import { hidden, type Step, situation, VOLUME } from './situations';

/** So many requests come now. */
function crowd(rig: Rig, creates: number): void {
  const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
  const about = { size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id };
  for (let n = 0; n < creates; n += 1)
    void rig.domain.operations.request('create', { ...about, name: `volume ${n}` });
}

/** The credentials of the next call are there after 5 s; meanwhile something happens. */
function waitForCredentials({ clock, cloud }: Rig, meanwhile: () => void = () => {}): void {
  const { submit } = cloud;
  cloud.submit = async (command, jobId, departs) => {
    cloud.submit = submit;
    await clock.sleep(5 * SECOND_MS);
    meanwhile();
    return submit(command, jobId, departs);
  };
}

describe('what forbids a call is looked at right before it', () => {
  it('also when many operations wait for answers of CloudStack: nobody gets in between', async () => {
    const rig = await Rig.start();
    const { id: volume_id } = await rig.volume({ vmId: rig.here, mapped: true });
    const { clock, cloud, guest } = rig;
    const { readZone } = cloud;
    cloud.readZone = async (id) => {
      await clock.sleep(5 * SECOND_MS);
      return readZone.call(cloud, id);
    };
    const { holders } = guest;
    let looks = 0;
    let lookedAt = 0;
    guest.holders = async (devices) => {
      looks += 1;
      // Before the intent, with the guards, and with these once more because time has passed.
      if (looks === 3) crowd(rig, 100);
      await clock.sleep(100);
      lookedAt = clock.monotonic();
      return holders.call(guest, devices);
    };
    let sentAfterMs: number | null = null;
    rig.onSend = ({ name }) => {
      if (name === 'detachVolume') sentAfterMs ??= clock.monotonic() - lookedAt;
    };
    const detach = await rig.request('detach', { volume_id });
    expect(await rig.ended(detach, 30 * MINUTE_MS)).toMatchObject({ status: 'completed' });
    expect(sentAfterMs).toBeLessThanOrEqual(5 * SECOND_MS);
  });

  it('also when the look that was repeated takes long: meanwhile somebody has moved the volume', async () => {
    const rig = await Rig.start();
    const to = rig.vm('Running');
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const { clock, guest } = rig;
    const { holders } = guest;
    let looks = 0;
    guest.holders = async (devices) => {
      looks += 1;
      // Before the export is withdrawn and after that, with the guards, and with these once more
      // because time has passed.
      if (looks === 3) await clock.sleep(SECOND_MS);
      if (looks === 4) {
        await clock.sleep(5 * SECOND_MS);
        rig.plugInto(volume, to);
      }
      return holders.call(guest, devices);
    };
    const detach = await rig.request('detach', { volume_id: volume.id });
    expect(await rig.ended(detach, 30 * MINUTE_MS)).toMatchObject({
      status: 'failed',
      errorCode: 'VOLUME_ATTACHED_ELSEWHERE',
    });
    expect([rig.calls, volume.vmId]).toEqual([[], to]);
  });

  it('and sent in the end when every look takes long', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    const { clock, guest } = rig;
    const { holders } = guest;
    guest.holders = async (devices) => {
      await clock.sleep(5 * SECOND_MS);
      return holders.call(guest, devices);
    };
    const detach = await rig.request('detach', { volume_id: id });
    expect(await rig.ended(detach)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('also when the call waits for its credentials: meanwhile somebody has moved the volume', async () => {
    const rig = await Rig.start();
    const [from, to] = [rig.vm('Running'), rig.vm('Running')];
    const volume = await rig.volume({ vmId: from });
    waitForCredentials(rig, () => rig.plugInto(volume, to));
    const detach = await rig.request('detach', { volume_id: volume.id });
    expect(await rig.ended(detach, 30 * MINUTE_MS)).toMatchObject({
      status: 'failed',
      errorCode: 'VOLUME_ATTACHED_ELSEWHERE',
    });
    expect([rig.calls, volume.vmId]).toEqual([[], to]);
  });

  it('and sent after another look when nothing has changed', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    waitForCredentials(rig);
    const attach = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    expect(await rig.ended(attach)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });
});

const GONE = 'VOLUME_NOT_FOUND';
const attach = (rig: Rig, volume_id: string, vm_id: string) => rig.request('attach', { volume_id, vm_id });
const resize = (rig: Rig, volume_id: string) => rig.request('resize', { volume_id, size: 9 * GIB });
const snapshot = (rig: Rig, volume_id: string) => rig.request('snapshot', { volume_id });

describe('what is removed between the last look and the call', () => {
  interface World {
    readonly rig: Rig;
    readonly volume: Volume;
    readonly vmId: string;
  }
  const noVolume = ({ volume }: World) => Object.assign(volume, { removed: true, state: 'Expunged' });
  const noVm = ({ rig, vmId }: World) => {
    rig.model.inventory.vm('test', 'id', vmId).removed = true;
  };
  it.each<[string, (world: World) => Promise<string>, (world: World) => unknown, ErrorCode]>([
    ['a volume, and its attach', ({ rig, volume: { id } }) => attach(rig, id, rig.here), noVolume, GONE],
    ['a volume, and its resize', ({ rig, volume: { id } }) => resize(rig, id), noVolume, GONE],
    ['a volume, and its snapshot', ({ rig, volume: { id } }) => snapshot(rig, id), noVolume, GONE],
    [
      'a VM, and an attach to it',
      ({ rig, volume, vmId }) => attach(rig, volume.id, vmId),
      noVm,
      'VM_NOT_FOUND',
    ],
  ])('%s ends with what is not there', async (_story, request, remove, errorCode) => {
    const rig = await Rig.start();
    const volume = await rig.volume({ hypervisor: 'KVM' });
    const world = { rig, volume, vmId: rig.vm('Stopped') };
    rig.onSend = () => void remove(world);
    const operation = await request(world);
    expect(await rig.ended(operation)).toMatchObject({ status: 'failed', errorCode });
  });

  it('a volume, and its revert is told by another look at the volume', () => {
    const text = 'Unable to find UUID for id [7] of type [Volume]';
    const request = { volume_id: VOLUME, snapshot_id: 'of it' };
    const steps: Step[] = [
      ['revert-volume', 'intent', { job_id: 'j' }],
      ['revert-volume', 'refused', { job_id: 'j', code: 431, text }],
    ];
    expect(decideRevert(situation('revert', request, { steps }))).toMatchObject({ do: 'read-volume' });
    expect(decideRevert(situation('revert', request, { steps, facts: { volume: hidden() } }))).toMatchObject({
      data: { code: GONE, message: expect.stringContaining(text) },
    });
  });
});
