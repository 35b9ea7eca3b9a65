import { describe, expect, it } from 'vitest';
import { CloudError, type CloudVm, type CloudVolume } from '~/server/cloudstack/cloud';
import { ClockSteps } from '~/server/core/clock-steps';
import { LIMITS } from '~/server/core/limits';
import type { Device } from '~/server/devices/device';
import { absent, type Evidence, seen, unknown } from '~/server/model/evidence';
import type { OperationFilter } from '~/server/model/ledger';
import type { ExportRecord, Operation } from '~/server/model/operation';
import type { DriftKind } from '~/server/sync/drift';
import { type Repair, type RepairStep, reported } from '~/server/sync/repair';
import { secondLook } from '~/server/sync/second-look';
import { ManualClock } from '../devices/manual-clock';
import {
  APPLIANCE,
  device,
  GIB,
  guest,
  OTHER_VM,
  record,
  remote,
  SECOND,
  VOLUME,
  volume,
} from './observations';

const gone = absent('no such volume', 0, 'cloudstack');
const of = (fields: Partial<CloudVolume> = {}) => seen(volume(fields), 0, 'cloudstack');
const away = of({ vmId: null });
const elsewhere = of({ vmId: OTHER_VM });

interface Now {
  readonly volume: Evidence<CloudVolume> | Error;
  readonly devices: readonly Device[];
  readonly last: Pick<Operation, 'applianceId' | 'updatedAt'> | null;
  readonly appliance: Evidence<CloudVm>;
  readonly exportRow: ExportRecord | null;
}

/** When the daemon began to watch its clock lies long before the look. */
const clock = new ManualClock();
const clockSteps = new ClockSteps(clock);
await clock.advance(24 * 60 * 60_000);
const ago = (ms: number, applianceId = APPLIANCE) => ({ applianceId, updatedAt: clock.now() - ms });

async function look(repair: Repair, now: Partial<Now>, steps = clockSteps) {
  const shown = now.volume ?? of();
  const parts = {
    clock,
    clockSteps: steps,
    sizeToleranceBytes: GIB,
    watcher: { scan: async () => guest(now.devices ?? [device()]) },
    cloud: {
      readVolume: async () => {
        if (shown instanceof Error) throw shown;
        return shown;
      },
      readVm: async () => now.appliance ?? seen({} as CloudVm, 0, 'cloudstack'),
    },
    ledger: {
      // A completed delete is asked for by its type; here nobody has deleted anything.
      listOperations: async ({ type }: OperationFilter) =>
        type === undefined && now.last ? [now.last as Operation] : [],
      readExport: async () => now.exportRow ?? null,
    },
  };
  const { kind } = await secondLook(parts, repair, { applianceVmId: APPLIANCE, exports: [record()] });
  return kind;
}

const drift = (kind: DriftKind, vmId: string | null = APPLIANCE, steps: readonly RepairStep[] = []) =>
  reported({ kind, volumeId: VOLUME, vmId, devicePath: '/dev/vdb', message: '' }, '', steps);
const row = (vmId: string): RepairStep[] => [
  { kind: 'rows', effects: [{ kind: 'put-mapping', mapping: remote(vmId) }] },
];
const silent = device({ serial: null, serialState: 'absent' });
const another = device({ serial: SECOND.replaceAll('-', '').slice(0, 20) });

describe('what a list said of a volume is looked at again by its id, and at the guest after it', () => {
  it.each<[what: string, repair: Repair, now: Partial<Now>, answer: string]>([
    ['a ghost: detached', drift('ghost-disk'), { volume: away }, 'stands'],
    ['a ghost: attached elsewhere', drift('ghost-disk'), { volume: elsewhere }, 'stands'],
    ['a ghost: deleted', drift('ghost-disk'), { volume: gone }, 'stands'],
    ['a ghost: attached here by now', drift('ghost-disk'), {}, 'contradicted'],
    ['a ghost that has no serial', drift('ghost-disk'), { volume: away, devices: [silent] }, 'stands'],
    ['a ghost that has left', drift('ghost-disk'), { volume: away, devices: [] }, 'contradicted'],
    [
      'a ghost whose letter another has',
      drift('ghost-disk'),
      { volume: away, devices: [another] },
      'contradicted',
    ],

    ['a phantom', drift('phantom-attach'), { devices: [] }, 'stands'],
    ['a phantom: detached by now', drift('phantom-attach'), { volume: away, devices: [] }, 'contradicted'],
    ['a phantom whose disk has come', drift('phantom-attach'), {}, 'contradicted'],

    ['a size', drift('size-mismatch'), { volume: of({ size: 9 * GIB }) }, 'stands'],
    ['a size that the guest shows by now', drift('size-mismatch'), {}, 'contradicted'],
    ['a size of a disk that has left', drift('size-mismatch'), { devices: [] }, 'contradicted'],
    ['a size of a volume elsewhere', drift('size-mismatch'), { volume: elsewhere }, 'contradicted'],

    ['a row for here: detached', drift('stale-mapping'), { volume: away, devices: [] }, 'stands'],
    ['a row for here: attached here by now', drift('stale-mapping'), { devices: [] }, 'contradicted'],
    ['a row for another VM: here', drift('stale-mapping', OTHER_VM), {}, 'stands'],
    [
      'a row for another VM: there again',
      drift('stale-mapping', OTHER_VM),
      { volume: elsewhere },
      'contradicted',
    ],
    [
      'a row that is to follow the volume',
      drift('stale-mapping', APPLIANCE, row(OTHER_VM)),
      { volume: elsewhere, devices: [] },
      'stands',
    ],
    [
      'a row that is to follow the volume, which has gone on',
      drift('stale-mapping', APPLIANCE, row(OTHER_VM)),
      { volume: of({ vmId: SECOND }), devices: [] },
      'contradicted',
    ],

    ['a volume elsewhere without a row', drift('unmapped-volume', OTHER_VM), { volume: elsewhere }, 'stands'],
    ['one that has left', drift('unmapped-volume', OTHER_VM), { volume: away }, 'contradicted'],
    ['what the guest itself shows is not asked again', drift('unmapped-volume'), { volume: away }, 'stands'],
    ['nor is what no list says', drift('letter-moved'), { volume: away }, 'stands'],
  ])('%s: %s', async (_what, repair, now, answer) => {
    expect(await look(repair, now)).toBe(answer);
  });

  it('what is of no volume stands', async () => {
    const stranger = reported(
      { kind: 'ghost-disk', volumeId: null, vmId: null, devicePath: '/dev/vdb', message: '' },
      '',
    );
    expect(await look(stranger, { volume: new Error('not asked') })).toBe('stands');
  });

  it.each<[what: string, now: Partial<Now>]>([
    [
      'CloudStack is away',
      { volume: new CloudError('no answer', { kind: 'network', outcome: 'not-started' }) },
    ],
    ['it does not show the volume', { volume: unknown('not shown', 0, 'cloudstack') }],
    [
      'it denies the volume to a key that does not see this VM',
      { volume: gone, appliance: absent('no such VM', 0, 'cloudstack') },
    ],
  ])('%s: that is not known', async (_what, now) => {
    expect(await look(drift('ghost-disk'), now)).toBe('unknown');
  });
});

describe('a volume that was worked on a moment ago is left for the next run', () => {
  const settled = LIMITS.READ_SETTLE_MS;
  const apart = settled + LIMITS.CLOCKS_AGREE_MS;
  it.each<[what: string, last: Now['last'], answer: string]>([
    ['long ago', ago(settled), 'stands'],
    ['just now', ago(settled - 1), 'later'],
    ['by a daemon that named no appliance', ago(settled, ''), 'stands'],
    ['there, by a clock that may differ', ago(apart - 1, OTHER_VM), 'later'],
    ['there, long ago by any clock', ago(apart, OTHER_VM), 'stands'],
    ['in a time to come, before the clock was set back', ago(-settled), 'stands'],
    ['in a time that is about to come', ago(1 - settled), 'later'],
  ])('%s', async (_what, last, answer) => {
    expect(await look(drift('ghost-disk'), { volume: away, last })).toBe(answer);
  });

  it('what has just begun to watch its clock does not believe a time to come, and no clock that was just set', async () => {
    const begun = new ClockSteps(clock);
    expect(await look(drift('ghost-disk'), { volume: away, last: ago(-settled) }, begun)).toBe('later');
    expect(await look(drift('ghost-disk'), { volume: away, last: ago(settled) }, begun)).toBe('stands');
    let wall = clock.now();
    const steps = new ClockSteps({ now: () => wall, monotonic: () => clock.monotonic() });
    wall += 2 * LIMITS.CLOCK_STEP_MS;
    expect(await look(drift('ghost-disk'), { volume: away, last: ago(settled) }, steps)).toBe('later');
    expect(await look(drift('ghost-disk'), { volume: away }, steps), 'no operation').toBe('stands');
  });
});

describe('an export whose row was changed since it was observed', () => {
  it.each<[what: string, exportRow: ExportRecord | null, answer: string]>([
    ['not', record(), 'stands'],
    ['published or withdrawn', record({ updatedAt: 1 }), 'later'],
    ['deleted', null, 'later'],
  ])('%s', async (_what, exportRow, answer) => {
    expect(await look(drift('unhealthy-export'), { exportRow })).toBe(answer);
  });
});
