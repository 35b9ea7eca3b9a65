import { describe, expect, it } from 'vitest';
import { absent, seen, unknown } from '~/server/model/evidence';
import { attachedHere, pluggedBefore } from '~/server/operations/attached-here';
import { APPLIANCE, device, OTHER_VM, seenVm, situation, VOLUME, volume } from './situations';

const OTHER = '9b9d3c1e-0000-4000-8000-0000000000aa';
const mute = { devices: [device({ serial: null, serialState: 'absent' })] };

/** `shown`: what CloudStack says of the volume that a failed attach has asked for. */
const parts = (
  shown: Awaited<ReturnType<Parameters<typeof attachedHere>[0]['cloud']['readVolume']>>,
  coming: readonly string[] = [],
) => ({
  cloud: {
    listVolumes: async () => [volume({ vmId: APPLIANCE })],
    readVolume: async () => shown,
    readVm: async () => seenVm({ id: APPLIANCE }),
  },
  ledger: {
    listOperations: async ({ status }: { status?: string | undefined }) =>
      status === 'failed'
        ? [{ ...situation('attach', { volume_id: OTHER, vm_id: APPLIANCE }).operation, volumeId: OTHER }]
        : [],
    volumesStillComing: async () => [...coming],
  },
});

const idsOf = (found: Awaited<ReturnType<typeof attachedHere>>) => found.map(({ id }) => id);
const ids = async (shown: Parameters<typeof parts>[0]) =>
  idsOf(await attachedHere(parts(shown), mute, APPLIANCE, null));

describe('which volumes a new disk without a serial may be', () => {
  it('what CloudStack lists, and what a failed attach has asked for while it is not shown', async () => {
    expect(await ids(unknown('not shown', 0, 'cloudstack'))).toEqual([VOLUME, OTHER]);
  });

  it('not what is seen elsewhere or proven to be gone', async () => {
    expect(await ids(seen(volume({ id: OTHER, vmId: OTHER_VM }), 0, 'cloudstack'))).toEqual([VOLUME]);
    expect(await ids(absent('it has no such id', 0, 'cloudstack'))).toEqual([VOLUME]);
  });

  it('what is seen detached or attaching, while the job of an attach that was given up is open', async () => {
    const shown = seen(volume({ id: OTHER, vmId: null, state: 'Attaching' }), 0, 'cloudstack');
    const found = await attachedHere(parts(shown, [OTHER]), mute, APPLIANCE, null);
    expect(idsOf(found)).toEqual([VOLUME, OTHER]);
    expect(await ids(shown)).toEqual([VOLUME]);
  });

  it('is asked though the system’s own disk shows a serial: it proves nothing for others', async () => {
    const guest = { devices: [device({ name: 'vda', path: '/dev/vda', root: true }), ...mute.devices] };
    const shown = unknown('not shown', 0, 'cloudstack');
    expect(idsOf(await attachedHere(parts(shown), guest, APPLIANCE, null))).toEqual([VOLUME, OTHER]);
  });

  it('the size counts of what was plugged before the attach was submitted, not of what came since', async () => {
    const at = (time: string) => volume({ vmId: APPLIANCE, attached: `2026-11-29T${time}.000Z` });
    const sizes = async (listed: ReturnType<typeof volume>, before: number | null, open: string[] = []) => {
      const { cloud, ledger } = parts(absent('it has no such id', 0, 'cloudstack'), open);
      const witnesses = { cloud: { ...cloud, listVolumes: async () => [listed] }, ledger };
      return (await attachedHere(witnesses, mute, APPLIANCE, before)).map(({ size }) => size);
    };
    const size = volume({}).size;
    // Attached at 12:00, submitted two minutes before it was asked: two management servers agree within 5.
    const before = pluggedBefore(at('12:00:00'), 120_000);
    expect(await sizes(at('11:52:59'), before)).toEqual([size]);
    expect(await sizes(at('11:53:01'), before)).toEqual([null]);
    // CloudStack dates no disk that was made with its VM, which has it from then on.
    const made = (created: string | null) => volume({ vmId: APPLIANCE, attached: null, created });
    expect(await sizes(made('2026-11-29T11:52:59.000Z'), before)).toEqual([size]);
    expect(await sizes(made('2026-11-29T11:53:01.000Z'), before)).toEqual([null]);
    expect(await sizes(made(null), before)).toEqual([null]);
    expect(await sizes(at('11:52:59'), before, [VOLUME])).toEqual([null]);
    expect(await sizes(at('11:52:59'), pluggedBefore(volume({ attached: null }), 0))).toEqual([null]);
    expect(await sizes(at('11:52:59'), pluggedBefore(at('12:00:00'), null))).toEqual([null]);
  });

  it('nothing is asked where disks have serials', async () => {
    const refuse = () => Promise.reject(new Error('asked'));
    const cloud = { listVolumes: refuse, readVolume: refuse, readVm: refuse };
    const guest = { devices: [device({})] };
    const ledger = { listOperations: refuse, volumesStillComing: refuse };
    expect(await attachedHere({ cloud, ledger }, guest, APPLIANCE, null)).toEqual([]);
  });
});
