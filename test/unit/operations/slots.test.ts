import { describe, expect, it } from 'vitest';
import { seen, unknown } from '~/server/model/evidence';
import { decideAttach } from '~/server/operations/decide/attach';
import { capacityOf, capacityText, freeSlots, type SlotLook } from '~/server/operations/slots';
import { Rig, type RigOptions, SECOND_MS } from './rig';
import { APPLIANCE, device, seenVolume, situation, VOLUME } from './situations';

/** Attaches of so many detached volumes to the appliance, asked for at once. */
async function attachAll(count: number, options: RigOptions) {
  const rig = await Rig.start(options);
  const ids: string[] = [];
  const operations: string[] = [];
  for (let index = 0; index < count; index += 1) ids.push((await rig.volume()).id);
  for (const id of ids) operations.push(await rig.request('attach', { volume_id: id, vm_id: rig.here }));
  const statuses = async () => {
    const all = await Promise.all(operations.map((id) => rig.operation(id)));
    return all.map(({ status, errorCode }) => (errorCode === null ? status : `${status} ${errorCode}`));
  };
  const tally = async () => {
    const counts: Record<string, number> = {};
    for (const status of await statuses()) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  };
  return { rig, ids, operations, statuses, tally };
}

const wait = { slots: 'wait' as const };

describe('40 attaches to a VM with 26 free slots', () => {
  it('26 complete, and 14 end with the code before anything is sent for them', async () => {
    const { rig, tally } = await attachAll(40, { guest: { slots: 26 } });
    await rig.pass(60 * SECOND_MS);
    expect(await tally()).toEqual({ completed: 26, 'failed NO_FREE_SLOT': 14 });
    expect(rig.calls).toHaveLength(26);
  });

  it('SLOTS=wait: 14 wait, with the reason, and follow as slots become free', async () => {
    const { rig, ids, operations, statuses, tally } = await attachAll(40, {
      guest: { slots: 26 },
      policy: wait,
    });
    await rig.pass(60 * SECOND_MS);
    expect(await tally()).toEqual({ completed: 26, executing: 14 });
    const attached = async () =>
      (await statuses()).flatMap((one, i) => (one === 'completed' ? (ids[i] ?? []) : []));
    const [waiting] = (await statuses()).flatMap((one, i) =>
      one === 'executing' ? (operations[i] ?? []) : [],
    );
    expect((await rig.operation(waiting ?? '')).waitReason).toBe(
      'this VM takes no more disks until one is detached',
    );
    expect((await rig.journal(waiting ?? '')).filter(({ state }) => state === 'waiting')).toHaveLength(1);
    for (const id of (await attached()).slice(0, 10)) await rig.run('detach', { volume_id: id });
    await rig.pass(60 * SECOND_MS);
    expect(await tally()).toEqual({ completed: 36, executing: 4 });
  });

  it('SLOTS=wait: the wait ends by a cancel', async () => {
    const { rig, operations, tally } = await attachAll(28, { guest: { slots: 26 }, policy: wait });
    await rig.pass(60 * SECOND_MS);
    const ends = await Promise.all(operations.map((id) => rig.operation(id)));
    const [first] = ends.filter(({ status }) => status === 'executing');
    await rig.during(rig.domain.operations.cancel(first?.id ?? ''));
    await rig.pass(5 * SECOND_MS);
    expect(await tally()).toEqual({ completed: 26, executing: 1, cancelled: 1 });
  });
});

describe('a full VM, when an attach asks for a slot', () => {
  const full = { reason: '0 more disks fit', crowded: false };
  const decide = (fields: { crowded?: boolean; elapsed?: number; slots: 'refuse' | 'wait' }) => {
    const { crowded = false, elapsed = 0, slots } = fields;
    return decideAttach(
      situation(
        'attach',
        { volume_id: VOLUME, vm_id: APPLIANCE },
        {
          facts: {
            volume: seenVolume({ vmId: null }),
            gone: true,
            obstacles: { openJobs: 0, conflictingOperation: null, full: { ...full, crowded } },
          },
          policy: { slots },
          elapsed: { slot: elapsed },
        },
      ),
    );
  };
  const ends = { do: 'record', state: 'failing', data: { code: 'NO_FREE_SLOT' } };

  it('SLOTS=refuse ends it, SLOTS=wait waits, but not for more than a day and not in a crowd', () => {
    expect(decide({ slots: 'refuse' })).toMatchObject(ends);
    expect(decide({ slots: 'wait' })).toMatchObject({ do: 'pause', forget: ['obstacles', 'volume'] });
    expect(decide({ slots: 'wait', elapsed: 24 * 3_600_000 + 1 })).toMatchObject(ends);
    expect(decide({ slots: 'wait', crowded: true })).toMatchObject(ends);
  });
});

describe('what is not known refuses nobody', () => {
  it('a guest that shows no slots: the job of a full VM ends with the same code', async () => {
    const { rig, tally } = await attachAll(3, {
      guest: { slots: 2, showsSlots: false },
    });
    await rig.pass(120 * SECOND_MS);
    expect(await tally()).toEqual({ completed: 2, 'failed NO_FREE_SLOT': 1 });
  });

  it("CloudStack's limit of data disks, which a user's key may not ask for", async () => {
    const { rig, tally } = await attachAll(34, {});
    await rig.pass(120 * SECOND_MS);
    expect(await tally()).toEqual({ completed: 32, 'failed NO_FREE_SLOT': 2 });
  });
});

describe('how many more disks fit', () => {
  const look = (fields: Partial<SlotLook>): SlotLook => ({
    slots: seen({ free: 2, arriving: 0 }, 0, 'guest'),
    limit: unknown('the key may not ask', 0, 'cloudstack'),
    disks: [],
    attached: null,
    ...fields,
  });
  const [A, B] = ['0f3c9a51-7be2-4d60-9a44-c1d2e3f40516', '7d21b6e0-93fa-4c18-8b57-a9b8c7d6e5f4'] as const;
  const named = device({ serial: A.replaceAll('-', '').slice(0, 20) });
  const untold = device({ serial: null, serialState: 'pending' });
  const limit = seen(3, 0, 'cloudstack');
  const table: readonly [story: string, look: SlotLook, coming: readonly string[], free: number | null][] = [
    ['nobody knows', look({ slots: unknown('no', 0, 'guest') }), [A], null],
    ['the free slots', look({}), [], 2],
    ['less those of attaches under way', look({}), [A, B], 0],
    ['a disk that is there is counted once', look({ disks: [named] }), [A], 2],
    [
      'a slot whose disk is being made is counted once',
      look({ slots: seen({ free: 1, arriving: 1 }, 0, 'guest') }),
      [A],
      1,
    ],
    ['a disk that has not told its serial may be the one', look({ disks: [untold] }), [A], 2],
    ["CloudStack's limit, by the disks of the guest", look({ limit, disks: [named, named] }), [], 1],
    ["CloudStack's limit, by its own list", look({ limit, attached: [A, B, 'x'], disks: [named] }), [A], 0],
    ['never below none', look({ limit, attached: [A, B, 'x', 'y'] }), [], 0],
  ];

  it.each(table)('%s', (_story, given, coming, free) => {
    expect(freeSlots(capacityOf(given, coming))).toBe(free);
  });

  it('is told with every witness', () => {
    expect(capacityText(capacityOf(look({}), [A]))).toBe(
      "1 more disk fits (PCI slots of the guest: 1; CloudStack's limit: unknown, the key may not ask)",
    );
    expect(capacityText(capacityOf(look({ slots: unknown('none shown', 0, 'guest') }), []))).toMatch(
      /^how many more disks fit is not known/,
    );
  });
});
